"""Parts of a batch that the cores of a CPU compute side by side.

An operation that several threads share ends when the slowest of them does, and a training step has
a thousand operations: threads wait for each other a tenth of the time, and longer where other
programs disturb one of them. So where the cores are few, each operation gets one thread, and each
core a part of the batch, whose gradients are averaged (docs/development/performance.md).
"""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pgan_tf.config import NetworkConfig, TrainConfig
from tfrecords_tools.host import core_count

# What was measured are two cores; every part is one more copy of the graph.
_MOST_CORES = 4

# Whoever sets these has decided.
_THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def set_up_threads(config: TrainConfig) -> None:
    """Gives each operation one thread, if the batches of all stages can keep all cores busy so.

    Call it before anything touches TensorFlow's devices; later, it changes nothing.

    Args:
      config: with what only the data can tell filled in.
    """
    if not _fills_cores(config):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        return  # TensorFlow runs already, as in a program that has trained before


def count_microbatches(config: TrainConfig, batch_size: int, *, replicas: int) -> int:
    """How many parts a replica's batch is computed in.

    Args:
      config: of the run.
      batch_size: the replica's.
      replicas: of this process.
    """
    # Asked again, because a run before in the same process may have set up the threads.
    wanted = config.run.microbatches != "off"
    if not (wanted and one_thread_an_operation() and _can_be_split(config.network)):
        return 1
    count = max(1, core_count() // replicas)
    return count if _splits(config.network, batch_size, count) else 1


def in_microbatches(compute: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The same function, computed of `count` parts of its arguments, whose results are averaged.

    Samples are dealt out in turn, which keeps the groups of minibatch stddev whole (sample i is in
    group i mod groups).

    Args:
      compute: takes tensors `[b ...]`, or None, by name; returns means over their samples, in lists
        and dictionaries.
      count: divides b.
    """
    if count == 1:
        return compute
    part = tf.function(compute, autograph=False)  # so that it is traced only once

    def compute_all(**batch: tf.Tensor | None) -> Any:
        parts = [
            part(**{name: None if x is None else x[i::count] for name, x in batch.items()})
            for i in range(count)
        ]
        return tf.nest.map_structure(_mean, *parts)

    return compute_all


def side_by_side(
    generate: Callable[..., tf.Tensor], batch_size: int, *, replicas: int
) -> Callable[..., tf.Tensor]:
    """The same function of tensors `[b ...]`, shared out over cores where operations have one each.

    Args:
      generate: what it makes of a sample depends on no other; returns `[b ...]`.
      batch_size: b.
      replicas: that call it at a time.
    """
    count = max(1, core_count() // replicas) if one_thread_an_operation() else 1
    if count == 1 or batch_size % count:
        return generate

    def generate_all(*batch: tf.Tensor) -> tf.Tensor:
        parts = zip(*(tf.split(x, count) for x in batch), strict=True)
        return tf.concat([generate(*part) for part in parts], axis=0)

    return generate_all


def one_thread_an_operation() -> bool:
    """Whether `set_up_threads` has done so, in this process."""
    return tf.config.threading.get_intra_op_parallelism_threads() == 1


def _fills_cores(config: TrainConfig) -> bool:
    """Whether all stages of a run can keep all cores busy with operations of one thread each."""
    run, network, cores = config.run, config.network, core_count()
    if (
        run.microbatches == "off"
        or run.jit_compile == "on"
        or run.distribution == "multi_worker"
        # Between steps those need all threads for each operation.
        or config.evaluation.runs_other_networks
        or any(name in os.environ for name in _THREAD_VARIABLES)
        or tf.config.list_physical_devices("GPU")
        or not 1 < cores <= _MOST_CORES
    ):
        return False
    replicas = 1 if run.distribution == "one_device" else max(1, run.logical_cpus)
    if replicas >= cores:
        return True
    count, rest = divmod(cores, replicas)
    return (
        rest == 0
        and _can_be_split(network)
        and all(
            _splits(network, config.schedule.batch_size_at(resolution) // replicas, count)
            for resolution in network.resolutions
            if resolution >= config.schedule.start_resolution
        )
    )


def _can_be_split(network: NetworkConfig) -> bool:
    """Whether samples of different groups have nothing to do with each other in a pass."""
    return not (
        network.normalizes_batches
        or network.minibatch_features == "discrimination"
        or (network.minibatch_features == "stddev" and not network.stddev_group_size)
        # Drawn for each pass, of which there would be more.
        or network.discriminator_noise
    )


def _splits(network: NetworkConfig, batch_size: int, count: int) -> bool:
    """Whether `count` parts of a batch hold whole groups of minibatch stddev each."""
    group = 1
    if network.minibatch_features == "stddev":
        group = min(network.stddev_group_size, max(1, batch_size))
    groups, rest = divmod(batch_size, group)
    return rest == 0 and groups > 0 and groups % count == 0


def _mean(*parts: tf.Tensor | None) -> tf.Tensor | None:
    return None if parts[0] is None else tf.add_n(parts) / len(parts)
