"""The metrics log of a run, `metrics.jsonl`: its only reader and writer."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from tfrecords_tools.files import whole_file
from tfrecords_tools.untrusted.json_file import parse_object, read_lines


class MetricsRow(NamedTuple):
    """One line of the log: a tick's scalars, or the metrics of an evaluation.

    Attributes:
      images_seen: real images shown until then.
      step: TensorBoard's step, in kimg or in images; see `MetricsLog.images_per_step`.
      values: by TensorBoard's tag; None where a value was not finite.
    """

    images_seen: int
    step: int
    values: Mapping[str, float | None]


class MetricsLog:
    """A file with one JSON object per line: `images_seen`, `step`, and a value for each tag.

    Reading passes over lines that are no such object, such as the last line of a killed process.

    Attributes:
      path: the file, which need not exist.
    """

    def __init__(self, path: Path):
        """Open nothing yet; `path` is the file's, in a directory that exists when it is written."""
        self.path = path

    def append(self, images_seen: int, step: int, values: Mapping[str, float]) -> None:
        """Add a line. JSON has no NaN and no infinity, so these are written as null."""
        finite = {tag: value if math.isfinite(value) else None for tag, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"images_seen": images_seen, "step": step, **finite}) + "\n")

    def rows(self) -> list[MetricsRow]:
        """Return all rows in the order in which they were written; none if there is no file."""
        return [row for row in map(_parse, self._lines()) if row is not None]

    def cut_after(self, images_seen: int) -> None:
        """Drop the rows past `images_seen`, and broken lines; the other lines stay as they are."""
        if not self.path.exists():
            return
        kept = []
        for line in self._lines():
            row = _parse(line)
            if row is None:
                logging.warning("%s: dropped a broken line: %s", self.path, line)
            elif row.images_seen <= images_seen:
                kept.append(line)
        with whole_file(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def images_per_step(self) -> int | None:
        """Return the unit of the run's TensorBoard steps, as it was when the run began.

        Returns:
          1000 for steps in kimg, 1 for steps in images (as in runs of versions that did not yet
          write `step`), None if nothing has been written yet.
        """
        units = [1 if row.step == row.images_seen else 1000 for row in self.rows()]
        return units[-1] if units else None

    def has_values(self, prefix: str, images_seen: int) -> bool:
        """Return whether a row at `images_seen` has a tag that begins with `prefix`."""
        return any(
            row.images_seen == images_seen and any(tag.startswith(prefix) for tag in row.values)
            for row in self.rows()
        )

    def _lines(self) -> list[str]:
        try:
            return list(read_lines(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []


def _parse(line: str) -> MetricsRow | None:
    """Return the row of a line, or None if the line is broken."""
    try:
        values = parse_object(line, "")
        images_seen = int(values.pop("images_seen"))
        step = int(values.pop("step", images_seen))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return MetricsRow(images_seen, step, {tag: _scalar(value) for tag, value in values.items()})


def _scalar(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
