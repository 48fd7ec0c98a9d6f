"""Microbatches: parts of a replica's batch that are computed by themselves, and averaged.

Side by side (`side_by_side`), they keep the cores of a CPU busy. An operation that several threads
share ends when the slowest of them does, and a training step has a thousand operations: threads
wait for each other a tenth of the time, and longer where other programs disturb one of them. So on
CPUs of few cores, TensorFlow computes each operation in one thread (`set_up_threads`), and each
core computes a microbatch; see docs/development/performance.md.

One after the other (`accumulate`), they fit large batches into little memory.

Sample i belongs to microbatch i mod count, which keeps the groups of minibatch stddev together
(sample i is in group i mod groups).
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pgan_tf.config import TrainConfig
from tfrecords_tools.host import core_count

# Two cores were measured. Every microbatch is one more copy of the graph.
_MAX_CORES = 4

# A user who sets these has chosen the threads.
_THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def set_up_threads(config: TrainConfig) -> None:
    """Have TensorFlow compute each operation in one thread, if microbatches can use all cores.

    The setting is the whole process's. Call this before TensorFlow starts its devices; later calls
    change nothing.

    Args:
      config: with channels, labels and resolution filled in (`TrainConfig.for_data`).
    """
    if _may_set_threads(config) and _fills_cores(config):
        # TensorFlow raises if it has started, as in a process that has trained before.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def one_thread_per_operation() -> bool:
    """Return whether TensorFlow computes each operation in one thread, in this process."""
    return tf.config.threading.get_intra_op_parallelism_threads() == 1


def count_microbatches(config: TrainConfig, batch_size: int, *, replicas: int) -> int:
    """Return the number of microbatches to compute side by side: one for each core, or 1.

    Args:
      config: of the run.
      batch_size: of the replica.
      replicas: number of replicas that share this process's cores.
    """
    # The threads alone do not tell: an earlier run in this process may have set them.
    if config.run.microbatches != "auto" or not one_thread_per_operation():
        return 1
    count = max(1, core_count() // replicas)
    return count if config.network.independent_groups(batch_size) % count == 0 else 1


def in_microbatches(
    compute: Callable[..., Any],
    config: TrainConfig,
    batch_size: int,
    *,
    is_compiled: bool,
    local_replicas: int,
) -> Callable[..., Any]:
    """Return the same function, computed in the microbatches that the configuration asks for.

    Args:
      compute: takes tensors `[b ...]`, or None, by name; returns means over samples, or None, in
        any structure of lists, tuples and dictionaries.
      config: of the run.
      batch_size: b.
      is_compiled: whether it becomes part of a program of XLA's, which shares out cores by itself.
      local_replicas: number of replicas that share this process's cores.
    """
    if config.run.most_microbatches > 1:
        return accumulate(compute, config.accumulated_microbatches(batch_size))
    if is_compiled:
        return compute
    return side_by_side(compute, count_microbatches(config, batch_size, replicas=local_replicas))


def side_by_side(compute: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return the same function, computed in microbatches at the same time, which are averaged.

    Args:
      compute: as `in_microbatches` takes it.
      count: number of microbatches; divides b.
    """
    if count == 1:
        return compute
    # Traced once for all of them. What `compute` has bound is no input.
    compute_one = tf.function(lambda **x: compute(**x), autograph=False)

    def compute_all(**batch: tf.Tensor | None) -> Any:
        results = [
            compute_one(**{name: None if x is None else x[i::count] for name, x in batch.items()})
            for i in range(count)
        ]
        return tf.nest.map_structure(_mean, *results)

    return compute_all


def accumulate(compute: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return the same function, computed in microbatches one after the other.

    It takes the memory of one microbatch, and that of the sum of their results.

    Args:
      compute: as `in_microbatches` takes it.
      count: number of microbatches; divides b.
    """
    if count == 1:
        return compute

    def compute_all(**batch: tf.Tensor | None) -> Any:
        # Sample i + count * j, of microbatch i, is at [j i].
        dealt = {
            name: tf.reshape(x, [x.shape[0] // count, count, *x.shape[1:]])
            for name, x in batch.items()
            if x is not None
        }
        absent = dict.fromkeys(batch.keys() - dealt.keys())
        compute_one = tf.function(lambda **x: compute(**x, **absent), autograph=False)
        specs = {
            name: tf.TensorSpec([x.shape[0], *x.shape[2:]], x.dtype) for name, x in dealt.items()
        }
        one = compute_one.get_concrete_function(**specs)
        results = tf.nest.flatten(one.structured_outputs)

        def add(index: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            more = one(**{name: x[:, index] for name, x in dealt.items()})
            added = [x for x in tf.nest.flatten(more) if x is not None]
            return index + 1, [x + y for x, y in zip(sums, added, strict=True)]

        zeros = [tf.zeros(x.shape, x.dtype) for x in results if x is not None]
        _, sums = tf.while_loop(
            lambda index, _: index < count, add, [0, zeros], parallel_iterations=1
        )
        means = iter(x / count for x in sums)
        return tf.nest.pack_sequence_as(
            one.structured_outputs, [None if x is None else next(means) for x in results]
        )

    return compute_all


def split_over_cores(
    generate: Callable[..., tf.Tensor], batch_size: int, *, replicas: int
) -> Callable[..., tf.Tensor]:
    """Return the same function, its batch split over the cores if operations have one thread each.

    Args:
      generate: from tensors `[b ...]` to `[b ...]`, each sample independent of the others.
      batch_size: b.
      replicas: number of replicas that share this process's cores.
    """
    count = max(1, core_count() // replicas) if one_thread_per_operation() else 1
    if count == 1 or batch_size % count:
        return generate

    def generate_all(*batch: tf.Tensor) -> tf.Tensor:
        microbatches = zip(*(tf.split(x, count) for x in batch), strict=True)
        return tf.concat([generate(*microbatch) for microbatch in microbatches], axis=0)

    return generate_all


def _may_set_threads(config: TrainConfig) -> bool:
    """Return whether nothing else in the run depends on TensorFlow's own choice of threads."""
    run = config.run
    return not (
        run.microbatches != "auto"
        or run.jit_compile == "on"
        or run.distribution == "multi_worker"
        # Between steps these networks need all threads for each operation.
        or config.evaluation.runs_other_networks
        or any(name in os.environ for name in _THREAD_VARIABLES)
        or tf.config.list_physical_devices("GPU")
    )


def _fills_cores(config: TrainConfig) -> bool:
    """Return whether every stage of a run has a microbatch, or a replica, for each core."""
    run, network, cores = config.run, config.network, core_count()
    if not 1 < cores <= _MAX_CORES:
        return False
    replicas = 1 if run.distribution == "one_device" else max(1, run.logical_cpus)
    if replicas >= cores:
        return True
    if cores % replicas:
        return False
    stages = (r for r in network.resolutions if r >= config.schedule.start_resolution)
    batch_sizes = (config.schedule.batch_size_at(resolution) // replicas for resolution in stages)
    count = cores // replicas
    return all(network.independent_groups(size) % count == 0 for size in batch_sizes)


def _mean(*results: tf.Tensor | None) -> tf.Tensor | None:
    return None if results[0] is None else tf.add_n(results) / len(results)
