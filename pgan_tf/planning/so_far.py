"""The part of a run that is done, and its speed, read from its metrics log; what remains of it."""

import dataclasses
from collections.abc import Sequence

from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.planning.phase_table import PhaseRow, describe_total, readable_duration, total_seconds
from pgan_tf.runs.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class SoFar:
    """The part of a run that is done.

    Attributes:
      images_seen: real images shown.
      measured: phases, and the seconds an image took at the last tick of each.
    """

    images_seen: int = 0
    measured: Sequence[tuple[Phase, float]] = ()


def read_so_far(run_dir: str, schedule: Schedule) -> SoFar:
    """Read a run's progress and speed from its metrics log.

    Args:
      run_dir: the run directory, which need not exist; or empty.
      schedule: the run's.
    """
    if not run_dir:
        return SoFar()
    images_seen, speeds = 0, {}
    for row in RunDirectory(run_dir).metrics_log.rows():
        images_seen = row.images_seen
        batch_size = row.values.get("progress/batch_size")
        seconds_per_kimg = row.values.get("speed/seconds_per_kimg")
        if batch_size is None or seconds_per_kimg is None:
            continue  # an evaluation, or nothing but a phase's first step
        phase = schedule.phase_at(max(0, images_seen - int(batch_size)))
        speeds[phase.index] = seconds_per_kimg / 1000
    measured = [(schedule.phases[index], seconds) for index, seconds in speeds.items()]
    return SoFar(images_seen, measured)


def describe_time(rows: Sequence[PhaseRow], so_far: SoFar, schedule: Schedule, run_dir: str) -> str:
    """Return a line on the time of a run; of one that has begun, on what remains of it.

    Args:
      rows: of the phases that remain.
      so_far: the part that is done.
      schedule: of the run.
      run_dir: its directory, to be named.
    """
    if not so_far.images_seen:
        return describe_total(rows)
    total, done = schedule.total_images, so_far.images_seen
    if not rows:
        return f"{run_dir}: all {total / 1000:g} kimg are done"
    count = len({row.phase.index for row in rows})
    seconds = total_seconds(rows)
    time = "an unknown time" if seconds is None else readable_duration(seconds)
    return (
        f"{run_dir}: {done / 1000:.10g} of {total / 1000:.10g} kimg are done; "
        f"{(total - done) / 1000:.10g} kimg in {count} phase{'s' if count > 1 else ''} remain: "
        f"{time}"
    )
