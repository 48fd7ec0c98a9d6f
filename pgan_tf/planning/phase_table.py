"""The table of a run's phases: estimates of a plan, or measurements of a dry run."""

import dataclasses
from collections.abc import Sequence

from pgan_tf.config.phases import Phase

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
class PhaseRow:
    """Time and memory of one phase, or of what remains of it.

    Attributes:
      phase: the phase.
      replicas: number of replicas that a global batch is split over.
      step_seconds: seconds of one step; None if unknown.
      peak: bytes on the fullest device; None if unknown.
      batch_size: global; smaller than the phase's own where that does not fit in memory.
      note: a remark at the end of the row.
      images_seen: real images shown before; only what comes after them counts.
    """

    phase: Phase
    replicas: int
    step_seconds: float | None
    peak: float | None
    batch_size: int
    note: str = ""
    images_seen: int = 0

    @property
    def kimg(self) -> float:
        """Thousands of real images that remain."""
        return max(0, self.phase.end - max(self.phase.start, self.images_seen)) / 1000

    @property
    def seconds_per_kimg(self) -> float | None:
        """Seconds for a thousand real images; None if unknown."""
        return None if self.step_seconds is None else 1000 * self.step_seconds / self.batch_size

    @property
    def days(self) -> float | None:
        """Days to the end of the phase; None if unknown."""
        seconds = self.seconds_per_kimg
        return None if seconds is None else self.kimg * seconds / _SECONDS_A_DAY


def format_table(rows: Sequence[PhaseRow]) -> str:
    """Return a header, the rows and their total in aligned columns of text."""
    header = "  ".join(f"{name:>{width}}" for name, width in _COLUMNS)
    return "\n".join([header, *(_line(row) for row in rows), _total(rows)])


def total_seconds(rows: Sequence[PhaseRow]) -> float | None:
    """Return the seconds of all phases, each counted once; None if any is unknown."""
    # A phase whose batch does not fit in memory has another row, with the batch that does.
    days = [row.days for row in {row.phase.index: row for row in rows}.values()]
    known = [value for value in days if value is not None]
    return sum(known) * _SECONDS_A_DAY if len(known) == len(days) else None


def readable_duration(seconds: float) -> str:
    """Return a duration in the two units that matter: `14 days 2 h`, `3 h 25 min`, `40 s`."""
    minutes = round(seconds / 60)
    days, hours = divmod(round(seconds / 3600), 24)
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if seconds >= 90 else f"{seconds:.0f} s"


def describe_total(rows: Sequence[PhaseRow]) -> str:
    """Return a line on the time of the whole table, for people."""
    seconds = total_seconds(rows)
    return f"in all: {'unknown' if seconds is None else readable_duration(seconds)}"


def _line(row: PhaseRow) -> str:
    phase = row.phase
    return _aligned(
        phase.size_text,
        "fade" if phase.fading else "stabilize",
        f"{row.batch_size}",
        f"{row.batch_size // row.replicas}",
        f"{phase.learning_rate:g}",
        f"{row.kimg:g}",
        format_number(row.seconds_per_kimg),
        _gib(row.peak),
        format_number(row.days),
        row.note,
    )


def _total(rows: Sequence[PhaseRow]) -> str:
    phases = {row.phase.index: row for row in rows}.values()
    seconds = total_seconds(rows)
    kimg = sum(row.kimg for row in phases)
    peak = max((row.peak for row in phases if row.peak is not None), default=None)
    return _aligned(
        "total",
        *[""] * 4,
        f"{kimg:g}",
        format_number(None if seconds is None else seconds / kimg),
        _gib(peak),
        format_number(None if seconds is None else seconds / _SECONDS_A_DAY),
        "",
    )


def _aligned(*cells: str) -> str:
    *columns, note = cells
    padded = [f"{cell:>{width}}" for cell, (_, width) in zip(columns, _COLUMNS, strict=True)]
    return "  ".join([*padded, note]).rstrip()


def _gib(count: float | None) -> str:
    return format_number(None if count is None else count / 2**30)


def format_number(value: float | None) -> str:
    """Format to about three digits, without decimals from 100 on; `-` for None."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
