"""The history of a run's scalars, as checks see it."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.runs.metrics_log import MetricsRow

# In every tick, and not in the rows that the metrics of an evaluation have of their own.
LOSS = "loss/discriminator"
_BATCH = "progress/batch_size"
# Ticks of earlier phases that a history holds; checks look back over no more of them.
KEPT_TICKS = 10


@dataclasses.dataclass(frozen=True)
class Tick:
    """One report of a run.

    Attributes:
      images_seen: real images shown until then.
      phase: of the tick's steps.
      scalars: by tag; None where a value was not finite.
    """

    images_seen: int
    phase: Phase
    scalars: Mapping[str, float | None]

    def get(self, tag: str) -> float | None:
        """Return a finite scalar; None if the tick has none."""
        value = self.scalars.get(tag)
        return value if value is not None and math.isfinite(value) else None

    @property
    def fraction(self) -> float:
        """The fraction of its phase that is done, in (0, 1]."""
        return (self.images_seen - self.phase.start) / (self.phase.end - self.phase.start)


def ticks_of(rows: Iterable[MetricsRow], schedule: Schedule) -> list[Tick]:
    """Return the ticks in a run's metrics log, oldest first."""
    return [
        # The last step of a phase may reach into the next one.
        Tick(row.images_seen, schedule.phase_at(row.images_seen - _batch_size(row)), row.values)
        for row in rows
        if LOSS in row.values
    ]


def _batch_size(row: MetricsRow) -> int:
    """Return the images of a row's last step, or 1 if it does not say."""
    return int(row.values.get(_BATCH) or 1)


def in_phase(ticks: Sequence[Tick]) -> list[Tick]:
    """Return the ticks of the newest tick's phase, oldest first."""
    newest = ticks[-1].phase.index
    first = len(ticks)
    while first and ticks[first - 1].phase.index == newest:
        first -= 1
    return list(ticks[first:])


def newest(ticks: Sequence[Tick], tag: str, count: int) -> list[float] | None:
    """Return the last values of a scalar in the newest tick's phase, oldest first.

    Args:
      ticks: of the run.
      tag: of the scalar, which not every tick need have.
      count: of values.

    Returns:
      None if the newest tick does not have the scalar, or the phase fewer than `count` values.
    """
    if ticks[-1].get(tag) is None:
        return None
    values: list[float] = []
    for tick in reversed(ticks):
        if tick.phase.index != ticks[-1].phase.index or len(values) == count:
            break
        value = tick.get(tag)
        if value is not None:
            values.append(value)
    return values[::-1] if len(values) == count else None
