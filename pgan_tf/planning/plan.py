"""What a run will take: one row a phase, as a table. Plain Python, nothing is run.

`dry_run.py` fills in the same table with what it measures. See docs/guide/planning.md.
"""

import dataclasses
import os
from collections.abc import Sequence

from pgan_tf.config import ScheduleConfig, TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.distribution.cluster import VARIABLE, read_cluster
from pgan_tf.networks.cost import TYPICAL_OVERHEAD, StepTimes, multiplications, training_passes
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.runs.metrics_log import MetricsLog
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.training.preflight import check_batches, fit_to_data
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

# What the two weeks that the original reports for 12,000 kimg at 1024x1024 on one V100 amount to.
V100_TFLOPS = 5.0

_SECONDS_A_DAY = 86400
_COLUMNS = (
    ("resolution", 10),
    ("phase", 9),
    ("batch", 5),
    ("per replica", 11),
    ("learning rate", 13),
    ("kimg", 9),
    ("s/kimg", 9),
    ("peak GiB", 8),
    ("days", 9),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What one phase of a run takes.

    Attributes:
      phase: the phase.
      replicas: that a global batch is split over.
      step_seconds: of one step; None where it is not known.
      peak: bytes of the fullest device; None where it is not known.
      batch_size: global, where it is not the phase's own.
      note: a few words behind the figures.
    """

    phase: Phase
    replicas: int
    step_seconds: float | None
    peak: float | None
    batch_size: int
    note: str = ""

    @property
    def kimg(self) -> float:
        """Length of the phase."""
        return (self.phase.end - self.phase.start) / 1000

    @property
    def seconds_per_kimg(self) -> float | None:
        """Seconds for a thousand real images."""
        return None if self.step_seconds is None else 1000 * self.step_seconds / self.batch_size

    @property
    def days(self) -> float | None:
        """Days of the whole phase."""
        return self.days_after(self.phase.start)

    def days_after(self, images_seen: int) -> float | None:
        """Days that the phase still takes from `images_seen` on."""
        if self.seconds_per_kimg is None:
            return None
        remaining = max(0, self.phase.end - max(self.phase.start, images_seen))
        return remaining / 1000 * self.seconds_per_kimg / _SECONDS_A_DAY


def plan(config: TrainConfig, *, replicas: int | None = None, tflops: float = V100_TFLOPS) -> str:
    """What a run will take, as text: a table and where its figures are from.

    Args:
      config: as the flags and the run directory tell it. Without data, images have three channels
        and no labels.
      replicas: that batches are split over; None for what the flags tell, else one.
      tflops: see `estimate`. A run that has begun is judged by its own speed instead.

    Raises:
      UserError: neither data nor a resolution are given, or they do not fit each other or the
        replicas.
    """
    run_dir = config.run.run_dir
    if config.data.data_dir:
        config = fitted(config)
    elif config.network.resolution is None:
        raise UserError("--plan needs --resolution or --data_dir, to know where the run ends")
    schedule = Schedule(config.schedule, config.network.final_resolution)
    # Of hardware, only what the flags tell: that of another machine is often what is planned for.
    replicas = replicas or _replicas_by_flags(config)
    check_batches(schedule, config.network, replicas)
    images_seen, measured = (
        read_speeds(RunDirectory(run_dir).metrics_log, schedule) if run_dir else (0, [])
    )
    shared_memory = config.run.logical_cpus > 0
    rows = estimate(
        schedule,
        config,
        replicas=replicas,
        shared_memory=shared_memory,
        tflops=tflops,
        measured=measured,
    )
    lines = [describe(config, replicas), "", table(rows), ""]
    if images_seen:
        days = sum(row.days_after(images_seen) or 0 for row in rows)
        lines.append(
            f"{run_dir}: {images_seen / 1000:.1f} of {config.schedule.total_kimg:g} "
            f"kimg are done; {_figure(days)} days remain"
        )
    if measured:
        lines.append(
            "seconds: this run's own, of the last tick of each phase marked measured; the others "
            "in proportion to their multiplications"
        )
    else:
        lines.append(
            f"seconds: estimated from multiplications at {tflops:g} TFLOP/s a replica "
            "(--plan_tflops; 5 is about a V100), without exchanging gradients"
        )
    if ramps := _ramps(config.schedule):
        lines.append(f"learning rate: {ramps}")
    where = "of all replicas together" if shared_memory else "of each device"
    lines.append(f"memory: estimated from the layers, {where}; TensorFlow itself comes on top")
    lines.append("--dry_run measures both")
    return "\n".join(lines)


def _ramps(config: ScheduleConfig) -> str:
    """Where the table's learning rates do not hold, in words; empty where they always do."""
    parts = []
    if config.rampup_kimg:
        parts.append(f"rises to the table's over the first {config.rampup_kimg:g} kimg")
    if config.rampdown_kimg:
        parts.append(f"falls to 0 over the last {config.rampdown_kimg:g}")
    return ", ".join(parts)


def fitted(config: TrainConfig) -> TrainConfig:
    """The configuration with what only the data can tell filled in.

    Raises:
      UserError: there are no such data, or they do not fit.
    """
    if "://" not in config.data.data_dir:
        return fit_to_data(config, open_pyramid(config.data.data_dir))
    from pgan_tf.data.dataset import open_data  # imports TensorFlow, which reads from URLs

    return fit_to_data(config, open_data(config))


def describe(config: TrainConfig, replicas: int) -> str:
    """Which networks are planned for, in a line; and a warning where training ends too early."""
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
) -> list[Row]:
    """Every phase's row, from formulas.

    Args:
      schedule: the run's.
      config: with what only the data can tell filled in, as far as it is known.
      replicas: that batches are split over.
      shared_memory: whether the replicas fill one memory, as logical CPUs do.
      tflops: what a replica's convolutions reach, in 10^12 floating-point operations a second; a
        multiply-add is two. Not used where something was measured.
      measured: phases and the seconds an image took in them, as the run itself noted them.
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
            Row(
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


def table(rows: Sequence[Row]) -> str:
    """The rows below a header and above the total, in aligned columns of text."""
    header = "  ".join(f"{name:>{width}}" for name, width in _COLUMNS)
    return "\n".join([header, *(_line(row) for row in rows), _total(rows)])


def _line(row: Row) -> str:
    phase = row.phase
    return _aligned(
        f"{phase.resolution}x{phase.resolution}",
        "fade" if phase.fading else "stabilize",
        f"{row.batch_size}",
        f"{row.batch_size // row.replicas}",
        f"{phase.learning_rate:g}",
        f"{row.kimg:g}",
        _figure(row.seconds_per_kimg),
        _gib(row.peak),
        _figure(row.days),
        row.note,
    )


def _total(rows: Sequence[Row]) -> str:
    # A phase whose batch does not fit in memory has another row, with the batch that does.
    phases = {row.phase.index: row for row in rows}.values()
    days = [row.days for row in phases]
    known = [value for value in days if value is not None]
    kimg = sum(row.kimg for row in phases)
    peak = max((row.peak for row in phases if row.peak is not None), default=None)
    return _aligned(
        "total",
        *[""] * 4,
        f"{kimg:g}",
        _figure(sum(known) * _SECONDS_A_DAY / kimg if len(known) == len(days) else None),
        _gib(peak),
        _figure(sum(known) if len(known) == len(days) else None),
        "",
    )


def _aligned(*cells: str) -> str:
    *columns, note = cells
    padded = [f"{cell:>{width}}" for cell, (_, width) in zip(columns, _COLUMNS, strict=True)]
    return "  ".join([*padded, note]).rstrip()


def _gib(count: float | None) -> str:
    return _figure(None if count is None else count / 2**30)


def _figure(value: float | None) -> str:
    """About three digits; none after the point from 100 on."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
