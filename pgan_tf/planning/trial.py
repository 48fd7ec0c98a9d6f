"""Trial steps of a dry run: a few real steps of each phase, timed, with their memory.

Runs in a process of its own; see `trial_process.py`.
"""

import contextlib
import dataclasses
import os
import time
from pathlib import Path

import tensorflow as tf

from pgan_tf.config import StepKind, TrainConfig
from pgan_tf.config.intervals import max_call_length
from pgan_tf.config.phases import Phase, Step
from pgan_tf.data.batches import Batch
from pgan_tf.distribution.out_of_memory import is_out_of_memory
from pgan_tf.distribution.strategy import device_names, is_on_gpus
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.planning.trial_process import LIMIT_VARIABLE, OutOfMemory, PhaseMeasured, Send, Started
from pgan_tf.reporting.scalars import memory_scalars
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.agreement import check_same_run, wait_for_all
from pgan_tf.training.feeding import read_own_batches, to_replicas
from pgan_tf.training.prepare import PreparedRun, prepare_run
from pgan_tf.training.recovery import explain_lost_workers

# Calls are timed until they have taken so many seconds together, or until they are so many.
_LEAST_SECONDS = 1.0
_MOST_CALLS = 50


def try_phases(config: TrainConfig, phases: list[Phase], send: Send) -> None:
    """Train a few steps of each phase, on real images, from new weights; a `Trial`.

    Args:
      config: the configuration, fitted to the data.
      phases: the phases to try, with the batch sizes to try.
      send: a function that sends a message to the process that started the trial.

    Raises:
      UserError: the devices do not fit the configuration, or a record is damaged.
    """
    run = prepare_run(config)
    devices = device_names(run.strategy)
    send(Started(run.replicas, ", ".join(devices)))
    # TensorFlow warns about making many graphs, which is the purpose here.
    tf.get_logger().setLevel("ERROR")
    try:
        with explain_lost_workers(run.cluster):
            check_same_run(run)
            state = TrainState(run.config, run.strategy)
            for phase in phases:
                if _is_too_large(run.config, phase, devices):
                    send(OutOfMemory(expected=True))
                    return
                send(_measure_phase(run, state, phase))
            wait_for_all(run.strategy, run.cluster)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        send(OutOfMemory())


def _measure_phase(run: PreparedRun, state: TrainState, phase: Phase) -> PhaseMeasured:
    """Time the steps of a phase, averaged over their kinds."""
    state.enter_phase(phase.index, reset_optimizers=True)
    batch = _read_batch(run, phase)
    devices = device_names(run.strategy)
    kinds = run.config.step_kinds
    prepared, step_seconds, peak = 0.0, {}, 0
    for kind in dict.fromkeys(kinds):  # in the same order on all workers
        steps = _time_steps(run, state, batch, devices, kind=kind)
        prepared += steps.prepared
        step_seconds[kind] = steps.step_seconds
        peak = max(peak, steps.peak)
    return PhaseMeasured(
        prepared=prepared,
        step_seconds=sum(step_seconds[kind] for kind in kinds) / len(kinds),
        peak=peak,
        resident=_resident(),
    )


def _read_batch(run: PreparedRun, phase: Phase) -> tuple[Step, Batch]:
    """Read this worker's shard of the first batch of a phase, for a step halfway into a fade."""
    alpha = 0.5 if phase.fading else 1.0
    step = Step(phase, phase.start, alpha, phase.learning_rate)
    (batch,) = read_own_batches(run, [step])
    return batch


@dataclasses.dataclass(frozen=True)
class _Steps:
    """Time and memory of steps of one kind.

    Attributes:
      prepared: seconds of the first call, in which the graph is made.
      step_seconds: seconds of each step of the later calls.
      peak: bytes of tensors on the fullest device in the later calls.
    """

    prepared: float
    step_seconds: float
    peak: int


def _time_steps(
    run: PreparedRun,
    state: TrainState,
    batch: tuple[Step, Batch],
    devices: list[str],
    *,
    kind: StepKind,
) -> _Steps:
    """Time calls as long as those of training, on the same batch again and again."""
    step, _ = batch
    phase = step.phase
    length = max_call_length(run.config, phase, kind=kind, on_gpus=is_on_gpus(run.strategy))
    train_step = TrainStep(
        state,
        run.config,
        run.strategy,
        resolution=phase.resolution,
        fading=phase.fading,
        kind=kind,
    )

    def time_call() -> float:
        started = time.monotonic()
        inputs = to_replicas(run.strategy, state, [batch] * length, steps_per_call=length)
        train_step(inputs).read()  # waits for the device
        return time.monotonic() - started

    prepared = time_call()
    # The first call tries algorithms, whose work space is no part of what training needs.
    _reset_peak(devices)
    times = [time_call()]
    # Each of several workers must make the same number of calls, so these are not repeated.
    while run.cluster.count == 1 and sum(times) < _LEAST_SECONDS and len(times) < _MOST_CALLS:
        times.append(time_call())
    return _Steps(prepared, sum(times) / len(times) / length, _peak(devices))


def _counts_memory(devices: list[str]) -> bool:
    """Return whether TensorFlow counts the bytes it allocates: on GPUs, and on CPUs with oneDNN."""
    try:
        tf.config.experimental.get_memory_info(devices[0])
    except ValueError:
        return False
    return True


def _reset_peak(devices: list[str]) -> None:
    if _counts_memory(devices):
        for device in devices:
            tf.config.experimental.reset_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak of `_resident`


def _peak(devices: list[str]) -> int:
    """Return the most bytes of tensors on any device since `_reset_peak`, or of the process."""
    if not _counts_memory(devices):
        return _resident()
    # Logical CPUs share one memory, and each reports the sum.
    return max(tf.config.experimental.get_memory_info(device)["peak"] for device in devices)


def _resident() -> int:
    """Return the most bytes of host memory that this process has held."""
    return round(memory_scalars()["memory/host_peak_gib"] * 2**30)


def _is_too_large(config: TrainConfig, phase: Phase, devices: list[str]) -> bool:
    """Return whether a step would exhaust the host's memory, and the kernel end the process."""
    limit = os.environ.get(LIMIT_VARIABLE)
    if limit is None or _counts_memory(devices):
        return False
    # The replicas share the memory, so the global batch counts.
    predicted = peak_bytes(config, phase.resolution, phase.batch_size, fading=phase.fading)
    return predicted > int(limit)
