"""Steps that are run only to be measured, for `dry_run.py`."""

import contextlib
import os
import time
from pathlib import Path

import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.config.intervals import max_call_length
from pgan_tf.config.phases import Phase, Schedule, Step
from pgan_tf.data.dataset import open_data, read_batches
from pgan_tf.data.order import Shard
from pgan_tf.distribution.cluster import ALONE, Cluster, read_cluster
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.planning.trial_process import LIMIT_VARIABLE, Measured, OutOfMemory, Send, Started
from pgan_tf.reporting.scalars import memory_scalars
from pgan_tf.step.microbatches import set_up_threads
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.agreement import check_same_run, wait_for_all
from pgan_tf.training.feeding import to_replicas
from pgan_tf.training.loop import set_up_tensorflow
from pgan_tf.training.preflight import check_batches
from pgan_tf.training.supervision import explain_lost_workers
from tfrecords_tools.format import Pyramid

# Steps are timed until they took this long together, or are this many.
_LEAST_SECONDS = 1.0
_MOST_STEPS = 50


def try_phases(config: TrainConfig, phases: list[Phase], send: Send) -> None:
    """Trains a few steps of each phase, on real images, from new weights; a `Trial`.

    Args:
      config: with what only the data can tell filled in.
      phases: with the batch sizes to try.
      send: where what was found goes.

    Raises:
      UserError: the devices, or a damaged record.
    """
    pyramid = open_data(config)
    several = config.run.distribution == "multi_worker"
    cluster = read_cluster() if several else ALONE
    set_up_threads(config)
    strategy = make_strategy(
        config.run.distribution, logical_cpus=config.run.logical_cpus, cluster=cluster
    )
    replicas = strategy.num_replicas_in_sync
    schedule = Schedule(config.schedule, config.network.final_resolution)
    check_batches(schedule, config.network, replicas)
    devices = [name.rpartition("device:")[2] for name in strategy.extended.worker_devices]
    send(Started(replicas, ", ".join(devices)))
    # A graph for each phase is meant, and no reason to warn.
    tf.get_logger().setLevel("ERROR")
    set_up_tensorflow(config)
    try:
        with explain_lost_workers(cluster):
            if several:
                check_same_run(strategy, cluster, config, pyramid)
            state = TrainState(config, strategy)
            for phase in phases:
                if _is_too_large(config, phase, devices):
                    send(OutOfMemory(expected=True))
                    return
                send(_measure(config, pyramid, strategy, cluster, state, phase, devices))
            if several:
                wait_for_all(strategy)
    except tf.errors.OpError as error:
        if not _is_out_of_memory(error):
            raise
        send(OutOfMemory())


def _measure(
    config: TrainConfig,
    pyramid: Pyramid,
    strategy: tf.distribute.Strategy,
    cluster: Cluster,
    state: TrainState,
    phase: Phase,
    devices: list[str],
) -> Measured:
    state.enter_phase(phase.index, reset_optimizers=True)
    alpha = 0.5 if phase.fading else 1.0
    step = Step(phase, phase.start, alpha, phase.learning_rate)
    (batch,) = (
        batch
        for _, batch in read_batches(
            pyramid,
            [step],
            seed=config.run.seed,
            label_size=config.network.label_size,
            shard=Shard(cluster.index, cluster.count),
        )
    )

    def measure(trains_generator: bool) -> tuple[float, float]:
        """Seconds of a call with its graph's making, and of a step without, on average."""
        length = max_call_length(config, phase.batch_size, trains_generator=trains_generator)
        call = [(step, batch)] * length
        train_step = TrainStep(
            state,
            config,
            strategy,
            resolution=phase.resolution,
            fading=phase.fading,
            trains_generator=trains_generator,
        )

        def run() -> float:
            """Seconds of a call as long as in training, with handing it its batches."""
            started = time.monotonic()
            inputs = to_replicas(strategy, state, call, steps_per_call=len(call))
            train_step(inputs).tensor.numpy()  # waits for the device
            return time.monotonic() - started

        prepared = run()
        times = [run()]
        # Several workers take as many steps each.
        while cluster.count == 1 and sum(times) < _LEAST_SECONDS and len(times) < _MOST_STEPS:
            times.append(run())
        return prepared, sum(times) / len(times) / length

    _reset_peak(devices)
    group = [
        config.optimizer.trains_generator(i) for i in range(config.optimizer.discriminator_steps)
    ]
    measured = {kind: measure(kind) for kind in set(group)}
    return Measured(
        prepared=sum(prepared for prepared, _ in measured.values()),
        step_seconds=sum(measured[kind][1] for kind in group) / len(group),
        peak=_peak(devices),
        resident=_resident(),
    )


def _tells_memory(devices: list[str]) -> bool:
    """Whether TensorFlow counts what it allocates: on GPUs, and on CPUs with oneDNN."""
    try:
        tf.config.experimental.get_memory_info(devices[0])
    except ValueError:
        return False
    return True


def _reset_peak(devices: list[str]) -> None:
    if _tells_memory(devices):
        for device in devices:
            tf.config.experimental.reset_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets what `_resident` tells


def _peak(devices: list[str]) -> int:
    """Bytes of tensors on the fullest device since `_reset_peak`, else of the whole process."""
    if not _tells_memory(devices):
        return _resident()
    # Logical CPUs share one memory, and each tells the sum.
    return max(tf.config.experimental.get_memory_info(device)["peak"] for device in devices)


def _resident() -> int:
    """Most bytes of the host's memory that this process has had."""
    return round(memory_scalars()["memory/host_peak_gib"] * 2**30)


def _is_too_large(config: TrainConfig, phase: Phase, devices: list[str]) -> bool:
    """Whether to leave a step out where only the operating system could end it."""
    limit = os.environ.get(LIMIT_VARIABLE)
    if limit is None or _tells_memory(devices):
        return False
    batch_size = phase.batch_size  # of all replicas, which share the memory
    return peak_bytes(config, phase.resolution, batch_size, fading=phase.fading) > int(limit)


def _is_out_of_memory(error: tf.errors.OpError) -> bool:
    # Of several replicas, another may be the one whose error is told.
    text = str(error)
    return (
        isinstance(error, tf.errors.ResourceExhaustedError)
        or "OOM when allocating" in text
        or "out of memory" in text.lower()
    )
