"""The plan of a run: time and memory of each phase, estimated without running anything.

`dry_run.py` fills the same table with measurements. See docs/guide/planning.md. Needs no
TensorFlow.
"""

import os
from collections.abc import Sequence

from pgan_tf.config import ScheduleConfig, TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.distribution.cluster import VARIABLE, read_cluster
from pgan_tf.networks.cost import TYPICAL_OVERHEAD, StepTimes, multiplications, training_passes
from pgan_tf.planning.phase_table import PhaseRow, format_number, format_table
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.runs.metrics_log import MetricsLog
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.training.preflight import check_batches, fit_to_data
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

# At this rate 12,000 kimg at 1024x1024 take the two weeks that the original reports for one V100.
V100_TFLOPS = 5.0


def plan(config: TrainConfig, *, replicas: int | None = None, tflops: float = V100_TFLOPS) -> str:
    """Return the table of a run's phases, and remarks on where its numbers are from.

    Args:
      config: from flags and the run directory. Without data, images have three channels and no
        labels.
      replicas: number of replicas; None takes it from the flags, or else one.
      tflops: see `estimate`. For a run that has begun, its own speed counts instead.

    Raises:
      UserError: neither data nor a resolution are given, or they fit neither each other nor the
        replicas.
    """
    run_dir = config.run.run_dir
    if config.data.data_dir:
        config = fit_to_data_dir(config)
    elif config.network.resolution is None:
        raise UserError("--plan needs --resolution or --data_dir, to know where the run ends")
    schedule = Schedule(config.schedule, config.network.final_resolution)
    # This machine's hardware does not count: plans are often for another one.
    replicas = replicas or _replicas_by_flags(config)
    check_batches(schedule, config.network, replicas)
    images_seen, measured = (
        read_speeds(RunDirectory(run_dir).metrics_log, schedule) if run_dir else (0, [])
    )
    rows = estimate(
        schedule,
        config,
        replicas=replicas,
        shared_memory=_shares_memory(config),
        tflops=tflops,
        measured=measured,
    )
    remarks = _remarks(config, tflops=tflops, measured=bool(measured))
    if images_seen:
        days = sum(row.days_after(images_seen) or 0 for row in rows)
        remarks.insert(
            0,
            f"{run_dir}: {images_seen / 1000:.1f} of {config.schedule.total_kimg:g} "
            f"kimg are done; {format_number(days)} days remain",
        )
    return "\n".join([headline(config, replicas), "", format_table(rows), "", *remarks])


def _remarks(config: TrainConfig, *, tflops: float, measured: bool) -> list[str]:
    """Return lines on where the table's numbers are from."""
    if measured:
        remarks = [
            "seconds: this run's own, of the last tick of each phase marked measured; the others "
            "in proportion to their multiplications"
        ]
    else:
        remarks = [
            f"seconds: estimated from multiplications at {tflops:g} TFLOP/s a replica "
            "(--plan_tflops; 5 is about a V100), without exchanging gradients"
        ]
    if ramps := _ramps(config.schedule):
        remarks.append(f"learning rate: {ramps}")
    where = "of all replicas together" if _shares_memory(config) else "of each device"
    remarks.append(f"memory: estimated from the layers, {where}; TensorFlow itself comes on top")
    return [*remarks, "--dry_run measures both"]


def _shares_memory(config: TrainConfig) -> bool:
    """Return whether all replicas share one memory, as logical CPUs do."""
    return config.run.logical_cpus > 0


def _ramps(config: ScheduleConfig) -> str:
    """Describe the parts of the run at other learning rates than the table's; empty: none."""
    ramps = []
    if config.rampup_kimg:
        ramps.append(f"rises to the table's over the first {config.rampup_kimg:g} kimg")
    if config.rampdown_kimg:
        ramps.append(f"falls to 0 over the last {config.rampdown_kimg:g}")
    return ", ".join(ramps)


def fit_to_data_dir(config: TrainConfig) -> TrainConfig:
    """Open the data; return the configuration with their resolution, channels and labels.

    Raises:
      UserError: there are no such data, or they do not fit the configuration.
    """
    if "://" not in config.data.data_dir:
        return fit_to_data(config, open_pyramid(config.data.data_dir))
    from pgan_tf.data.dataset import open_data  # imports TensorFlow, which reads from URLs

    return fit_to_data(config, open_data(config))


def headline(config: TrainConfig, replicas: int) -> str:
    """Return one line about the networks, and a warning if training ends below their resolution."""
    network, schedule = config.network, Schedule(config.schedule, config.network.final_resolution)
    final, last = network.final_resolution, schedule.phases[-1].resolution
    labels = f"{network.label_size} labels" if network.label_size else "no labels"
    line = (
        f"to {final}x{final}, {network.channels} channel(s), {labels}, {config.run.precision}, "
        f"on {replicas} replica(s)"
    )
    if last < final:
        line += f"; --total_kimg={schedule.total_images / 1000:g} ends at {last}x{last}"
    return line


def _replicas_by_flags(config: TrainConfig) -> int:
    if config.run.distribution == "one_device":
        return 1
    if config.run.distribution == "multi_worker":
        return read_cluster().count if os.environ.get(VARIABLE) else 1
    return max(1, config.run.logical_cpus)


def estimate(
    schedule: Schedule,
    config: TrainConfig,
    *,
    replicas: int,
    shared_memory: bool,
    tflops: float,
    measured: Sequence[tuple[Phase, float]] = (),
) -> list[PhaseRow]:
    """Return the rows of all phases, from formulas.

    Args:
      schedule: the run's.
      config: fitted to the data, if there are any.
      replicas: number of replicas that batches are split over.
      shared_memory: whether all replicas share one memory, as logical CPUs do.
      tflops: speed of a replica's convolutions in 10^12 floating-point operations a second, two for
        each multiply-add. Not used where something was measured.
      measured: phases of this run, and the seconds an image took in each.
    """
    step_times = StepTimes(config.network)
    for phase, seconds_per_image in measured:
        step_times.add(phase, seconds_per_image)
    measured_phases = {phase.index for phase, _ in measured}
    rows = []
    for phase in schedule.phases:
        if measured:
            seconds = step_times.seconds(phase)
        else:
            seconds = _step_seconds(config, phase, replicas=replicas, tflops=tflops)
        peak = peak_bytes(
            config, phase.resolution, phase.batch_size // replicas, fading=phase.fading
        )
        rows.append(
            PhaseRow(
                phase,
                replicas,
                seconds,
                peak * replicas if shared_memory else peak,
                phase.batch_size,
                note="measured" if phase.index in measured_phases else "",
            )
        )
    return rows


def _step_seconds(config: TrainConfig, phase: Phase, *, replicas: int, tflops: float) -> float:
    work = multiplications(config.network, phase.resolution, fading=phase.fading)
    passes = training_passes(config.loss, config.optimizer)
    operations = 2 * passes * work * phase.batch_size / replicas
    return TYPICAL_OVERHEAD + operations / (tflops * 1e12)


def read_speeds(log: MetricsLog, schedule: Schedule) -> tuple[int, list[tuple[Phase, float]]]:
    """Read a run's progress and speed from its metrics log.

    Args:
      log: the run's, which need not exist.
      schedule: the run's.

    Returns:
      images_seen, and for each phase the seconds an image took at its last tick.
    """
    images_seen, speeds = 0, {}
    for row in log.rows():
        batch_size = row.values.get("progress/batch_size")
        seconds_per_kimg = row.values.get("speed/seconds_per_kimg")
        if batch_size is None or seconds_per_kimg is None:
            continue  # an evaluation
        images_seen = row.images_seen
        phase = schedule.phase_at(max(0, images_seen - int(batch_size)))
        speeds[phase.index] = seconds_per_kimg / 1000
    return images_seen, [(schedule.phases[index], seconds) for index, seconds in speeds.items()]
