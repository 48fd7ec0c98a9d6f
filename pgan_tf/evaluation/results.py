"""What was found, for people and programs: a table, `metrics-<kimg>.json`, TensorBoard."""

import contextlib
import dataclasses
import fcntl
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from pgan_tf.run_directory import RunDirectory
from pgan_tf.watching.tensorboard_steps import images_per_step

TAG_PREFIX = "metrics/"
FLOOR = "floor"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Result:
    """Figures of one generator.

    Attributes:
      network: its file.
      digest: SHA-256 of the file.
      label: what its files are named by, such as `000150`.
      images_seen: when it was saved, or None.
      figures: by name.
      settings: what they depend on, as JSON values.
      floor: the figures of reals against other reals; empty where they were not wanted.
    """

    network: Path
    digest: str
    label: str
    images_seen: int | None
    figures: Mapping[str, float]
    settings: Mapping[str, Any]
    floor: Mapping[str, float]

    def write_json(self, directory: Path) -> Path:
        """Writes `metrics-<label>.json`, whole or not at all; returns its path."""
        path = result_path(directory, self.label)
        content = {
            "format": FORMAT,
            "network": str(self.network),
            "network_digest": self.digest,
            "images_seen": self.images_seen,
            "kimg": None if self.images_seen is None else self.images_seen / 1000,
            **self.settings,
            "metrics": _finite(self.figures),
            "floor": _finite(self.floor),
        }
        directory.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path


def result_path(directory: Path, label: str) -> Path:
    """Where the figures of a generator go."""
    return directory / f"metrics-{label}.json"


def read_figures(
    path: Path, *, digest: str, settings: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]] | None:
    """Figures of a generator and the floor, if they were written before under equal settings.

    Args:
      path: of `result_path`.
      digest: SHA-256 of the generator's file.
      settings: as `Result.settings`.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logging.warning("%s can't be read, evaluating anew: %s", path, error)
        return None
    expected = {"format": FORMAT, "network_digest": digest, **settings}
    if not isinstance(content, dict) or any(content.get(k) != v for k, v in expected.items()):
        return None
    figures, floor = ({n: _number(v) for n, v in content[k].items()} for k in ("metrics", "floor"))
    return figures, floor


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def table(results: Sequence[Result]) -> str:
    """A row a figure for one generator, with the floor; a row a generator for several."""
    names = list(results[0].figures)
    floor = results[0].floor
    if len(results) == 1:
        rows = [["", results[0].label, *([FLOOR] if floor else [])]]
        for name in names:
            cells = [format_figure(results[0].figures[name])]
            cells += [format_figure(floor.get(name))] if floor else []
            rows.append([name, *cells])
    else:
        rows = [["", *names]]
        rows += [[r.label, *(format_figure(r.figures[n]) for n in names)] for r in results]
        if floor:
            rows.append([FLOOR, *(format_figure(floor.get(name)) for name in names)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def format_figure(value: float | None) -> str:
    """A figure for people: four significant digits, fewer for large ones."""
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def write_tensorboard(run: Path, results: Sequence[Result]) -> None:
    """Adds scalars `metrics/...` to a run's curves, over its own steps.

    TensorBoard follows the newest file of a directory alone. So while a training is adding to its
    own, these go to the directory `metrics` within the run.
    """
    unit = images_per_step(RunDirectory(run).metrics) or 1
    writer = tf.summary.create_file_writer(str(run / "metrics" if _is_training(run) else run))
    with contextlib.closing(writer):
        for result in results:
            if result.images_seen is None:
                continue
            with writer.as_default(step=result.images_seen // unit):
                for name, value in result.figures.items():
                    tf.summary.scalar(TAG_PREFIX + name, value)
                for name, value in result.floor.items():
                    tf.summary.scalar(f"{TAG_PREFIX}{FLOOR}/{name}", value)


def _is_training(run: Path) -> bool:
    """Whether another process holds the run's lock (`RunDirectory.open`)."""
    opened = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    return False
