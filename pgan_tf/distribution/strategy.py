"""Which devices train: the choice of a `tf.distribute` strategy, and what its replicas share."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from pgan_tf.distribution.cluster import ALONE, VARIABLE, Cluster
from pgan_tf.distribution.rendezvous import meet
from tfrecords_tools.errors import UserError

# Numbers sent at a time when arrays are broadcast: 16 MB of float32.
_CHUNK = 2**22


def make_strategy(
    distribution: str, *, logical_cpus: int = 0, cluster: Cluster = ALONE
) -> tf.distribute.Strategy:
    """Makes the strategy; call it before anything else touches TensorFlow's devices.

    Args:
      distribution: `auto` takes every visible GPU, or all logical CPUs, else one device;
        `one_device` the first GPU or the CPU; `mirrored` a replica on every GPU or logical CPU;
        `multi_worker` a replica on every GPU, or on the CPU, of every worker, and waits for all of
        them.
      logical_cpus: split the CPU into this many logical devices and use them instead of GPUs; 0
        does not.
      cluster: which worker this is, for `multi_worker` (`cluster.read_cluster`).

    Raises:
      UserError: TensorFlow's devices were set up otherwise before, or the workers can't be
        connected.
    """
    if distribution == "multi_worker":
        return _multi_worker(cluster)
    devices = _devices(logical_cpus)
    if distribution == "one_device" or (distribution == "auto" and len(devices) == 1):
        return tf.distribute.OneDeviceStrategy(devices[0])
    return _mirrored(tuple(devices))


@functools.lru_cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # Once a process: a second one would number its collectives from the start again, and TensorFlow
    # would take them for the first one's, whatever their shapes.
    return tf.distribute.MirroredStrategy(devices)


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    meet(cluster)
    _let_gpu_memory_grow()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"worker {cluster.index} of {cluster.count} can't be connected with the others; "
            f"look at the addresses in {VARIABLE}: {first}"
        ) from error


def _devices(logical_cpus: int) -> list[str]:
    if logical_cpus:
        _split_cpu(logical_cpus)
        return [f"/CPU:{i}" for i in range(logical_cpus)]
    gpus = _let_gpu_memory_grow()
    return [f"/GPU:{i}" for i in range(gpus)] or ["/CPU:0"]


def _let_gpu_memory_grow() -> int:
    """Prepares the GPUs, and counts them."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Otherwise TensorFlow takes the whole memory at once, and peak figures mean nothing.
        tf.config.experimental.set_memory_growth(gpu, True)
    return len(gpus)


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    wanted = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(cpu, wanted)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise UserError(
                f"--logical_cpus={count} must be set before TensorFlow starts: {error}"
            ) from error


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Replicas of this process."""
    return len(strategy.extended.worker_devices)


def sample_offset(strategy: tf.distribute.Strategy, replica_id: int | tf.Tensor) -> int | tf.Tensor:
    """The first sample of a global batch that a replica takes; the next is `replicas` further, ...

    Dealing samples out in turn keeps the groups of minibatch stddev (sample i is in group
    i mod groups) together whatever the number of replicas is, so that it does not change what is
    learned. Every worker holds the samples i with i mod workers = its own number, hence this order.

    Args:
      strategy: where the replicas run.
      replica_id: TensorFlow's number of the replica, in sync group.
    """
    local = local_replicas(strategy)
    workers = strategy.num_replicas_in_sync // local
    return replica_id // local + workers * (replica_id % local)


def add_up(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """Sums of `values` `[n]` float32 over all workers; every worker must call it."""
    return _make_sum(strategy)(values)


def _make_sum(strategy: tf.distribute.Strategy) -> Callable[[np.ndarray], np.ndarray]:
    """`add_up`, with one graph for all calls of one length."""
    local = local_replicas(strategy)

    def replica_sum(values: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        # Of a worker's replicas, one speaks for all.
        speaks = tf.equal(context.replica_id_in_sync_group % local, 0)
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.where(speaks, values, tf.zeros_like(values))
        )

    @tf.function(autograph=False)
    def total(values: tf.Tensor) -> tf.Tensor:
        return strategy.run(replica_sum, args=(values,))

    return lambda values: strategy.experimental_local_results(total(tf.constant(values)))[0].numpy()


def broadcast(
    strategy: tf.distribute.Strategy, arrays: Sequence[np.ndarray], *, is_chief: bool
) -> list[np.ndarray]:
    """Gives every worker the chief's arrays, bit by bit; every worker must call it.

    Args:
      strategy: of several workers.
      arrays: of the same shapes and types on every worker.
      is_chief: whether this worker's are the ones to be sent.
    """
    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    # Sixteen bits at a time as a float32, which holds them exactly: a sum with zeros is what every
    # backend can do, and sums of the numbers themselves would turn -0.0 into 0.0.
    words = np.frombuffer(raw + b"\0" * (len(raw) % 2), np.uint16)
    chunk_size = max(1, min(_CHUNK, len(words)))
    padded = np.zeros(-(-len(words) // chunk_size) * chunk_size, np.uint16)
    padded[: len(words)] = words

    total, received = _make_sum(strategy), []
    for chunk in padded.reshape(-1, chunk_size):
        values = chunk.astype(np.float32) if is_chief else np.zeros(chunk_size, np.float32)
        received.append(total(values).astype(np.uint16))
    raw = np.concatenate(received).tobytes()[: len(raw)]
    results, start = [], 0
    for array in arrays:
        end = start + array.nbytes
        results.append(np.frombuffer(raw[start:end], array.dtype).reshape(array.shape))
        start = end
    return results
