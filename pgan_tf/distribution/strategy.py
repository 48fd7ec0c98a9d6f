"""The `tf.distribute` strategy of a run, and the collectives that the trainer needs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pgan_tf.distribution.cluster import ALONE, VARIABLE, Cluster
from pgan_tf.distribution.devices import let_gpu_memory_grow
from pgan_tf.distribution.rendezvous import meet
from tfrecords_tools.errors import UserError

# Numbers in one exchange of a broadcast: 16 MB of float32.
_CHUNK = 2**22


def make_strategy(
    distribution: str, *, logical_cpus: int = 0, cluster: Cluster = ALONE
) -> tf.distribute.Strategy:
    """Make the strategy. Call this before anything else starts TensorFlow's devices.

    Args:
      distribution: `auto` for a replica on each visible GPU, or on each logical CPU, or else one on
        the CPU; `one_device` for a single replica, on the first GPU or the CPU; `mirrored` as
        `auto`, but a MirroredStrategy even for one replica; `multi_worker` for a replica on each
        GPU, or on the CPU, of every worker, once all workers have started.
      logical_cpus: the number of logical devices to split the CPU into, which are then used instead
        of GPUs; 0 leaves the CPU whole.
      cluster: the workers, for `multi_worker` (`cluster.read_cluster`).

    Raises:
      UserError: TensorFlow's devices were set up differently before, or the workers can't be
        connected.
    """
    if distribution == "multi_worker":
        return _multi_worker(cluster)
    devices = _local_devices(logical_cpus)
    if distribution == "one_device" or (distribution == "auto" and len(devices) == 1):
        return tf.distribute.OneDeviceStrategy(devices[0])
    return _mirrored(tuple(devices))


@functools.lru_cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # One per process: a second strategy would number its collectives from the start again, and
    # TensorFlow would mistake them for those of the first, whatever their shapes.
    return tf.distribute.MirroredStrategy(devices)


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    meet(cluster)
    let_gpu_memory_grow()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"worker {cluster.index} of {cluster.count} can't be connected to the others; "
            f"check the addresses in {VARIABLE}: {first}"
        ) from error


def _local_devices(logical_cpus: int) -> list[str]:
    if logical_cpus:
        _split_cpu(logical_cpus)
        return [f"/CPU:{i}" for i in range(logical_cpus)]
    gpus = let_gpu_memory_grow()
    return [f"/GPU:{i}" for i in range(gpus)] or ["/CPU:0"]


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


def device_names(strategy: tf.distribute.Strategy) -> list[str]:
    """Return the names of the devices of this process's replicas, such as `GPU:0`."""
    return [device.rpartition("device:")[2] for device in strategy.extended.worker_devices]


def is_on_gpus(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process's replicas are on GPUs."""
    return all(device.startswith("GPU:") for device in device_names(strategy))


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Return the number of replicas in this process."""
    return len(strategy.extended.worker_devices)


def sample_offset(strategy: tf.distribute.Strategy, replica_id: int | tf.Tensor) -> int | tf.Tensor:
    """Return the offset of a replica's first sample in the global batch.

    With r replicas, the replica takes the samples at offset, offset + r, offset + 2r, and so on.
    Dealing samples in turn keeps the groups of minibatch stddev whole (sample i is in group
    i mod groups), so what is learned doesn't depend on the number of replicas. Of w workers, worker
    k reads the samples i with i mod w = k, which the offset takes into account.

    Args:
      strategy: the strategy that runs the replicas.
      replica_id: TensorFlow's number of the replica, `replica_id_in_sync_group`.
    """
    local = local_replicas(strategy)
    workers = strategy.num_replicas_in_sync // local
    return replica_id // local + workers * (replica_id % local)


def own_samples(samples: tf.Tensor, shards: int) -> tf.Tensor:
    """Return the shard of a replica, which calls this, of samples that all replicas have.

    Args:
      samples: `[b ...]`.
      shards: number of shards, which divides b: that of replicas, or a divisor of it. Then several
        replicas have the same shard.

    Returns:
      `[b / shards ...]`: the samples at offset, offset + shards, and so on (`sample_offset`).
    """
    if shards == 1:
        return samples
    context = tf.distribute.get_replica_context()
    batch, *rest = samples.shape
    dealt = tf.reshape(samples, [batch // shards, shards, *rest])
    offset = sample_offset(context.strategy, context.replica_id_in_sync_group)
    return tf.gather(dealt, offset % shards, axis=1)


def all_reduce(op: tf.distribute.ReduceOp, values: Any) -> Any:
    """Reduce tensors, in any structure, over all replicas; called by each of them.

    A single replica has nothing to exchange, not even with itself: its values stay inside of the
    program that XLA compiles.
    """
    context = tf.distribute.get_replica_context()
    return values if context.num_replicas_in_sync == 1 else context.all_reduce(op, values)


def all_reduce_sum(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """Return the sum over all workers of `values`, `[n]` float32. Every worker must call this."""
    return _make_sum(strategy)(values)


def _make_sum(strategy: tf.distribute.Strategy) -> Callable[[np.ndarray], np.ndarray]:
    """Return `all_reduce_sum` as a function of the values, with one graph for all of a length."""
    local = local_replicas(strategy)

    def replica_sum(values: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        # Of each worker's replicas, only the first contributes.
        is_first = tf.equal(context.replica_id_in_sync_group % local, 0)
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.where(is_first, values, tf.zeros_like(values))
        )

    @tf.function(autograph=False)
    def total(values: tf.Tensor) -> tf.Tensor:
        return strategy.run(replica_sum, args=(values,))

    return lambda values: strategy.experimental_local_results(total(tf.constant(values)))[0].numpy()


def broadcast(
    strategy: tf.distribute.Strategy, arrays: Sequence[np.ndarray], *, is_chief: bool
) -> list[np.ndarray]:
    """Send the chief's arrays to every worker, bit by bit. Every worker must call this.

    Args:
      strategy: a strategy of several workers.
      arrays: arrays of the same shapes and types on every worker.
      is_chief: whether this worker is the chief, whose arrays are sent.

    Returns:
      The chief's arrays.
    """
    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    # Every backend can add float32s, so the others add zeros to the chief's bytes: two bytes at a
    # time, as an integer that a float32 holds exactly. Adding the numbers themselves would turn
    # -0.0 into 0.0.
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
