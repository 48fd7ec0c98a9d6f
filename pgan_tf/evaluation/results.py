"""What was found, for people and programs: a table, `metrics-<kimg>.json`, TensorBoard."""

import contextlib
import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from pgan_tf.runs.run_directory import RunDirectory
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file

TAG_PREFIX = "metrics/"
FLOOR = "floor"
FORMAT = 1

# Settings that each metric has for itself; and what a file holds beside settings.
_BY_METRIC = ("num_images", "real_num_images", "extractors", "floor_num_images")
_NO_SETTINGS = {
    *("format", "network", "network_digest", "images_seen", "kimg", "metrics", "floor", "others")
}


@dataclasses.dataclass(frozen=True)
class Result:
    """Figures of one generator.

    Attributes:
      network: its file.
      digest: SHA-256 of the file.
      label: what its files are named by, such as `000150`.
      images_seen: when it was saved, or None.
      figures: by name.
      settings: what they depend on, as JSON values; `num_images`, `real_num_images`,
        `floor_num_images` and `extractors` by the metric's name.
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
        """Writes `metrics-<label>.json`, whole or not at all; returns its path.

        What the file says of the same network stays: other metrics under the same settings among
        the figures, whatever was found under other settings in `others`.
        """
        path = result_path(directory, self.label)
        ours = _entries(self.settings, self.figures, self.floor)
        before = {_identity(entry): entry for entry in _read_entries(path, digest=self.digest)}
        for entry in ours:
            same = before.pop(_identity(entry), None)
            if same and not entry["floor"]:
                entry["floor"] = same["floor"]
        shared = {key: value for key, value in self.settings.items() if key not in _BY_METRIC}
        names = {entry["metric"] for entry in ours}
        others = []
        for entry in before.values():
            fits = all(entry.get(key) == value for key, value in shared.items())
            if fits and entry["metric"] not in names:
                ours.append(entry)
                names.add(entry["metric"])
            else:
                others.append(entry)
        content = {
            "format": FORMAT,
            "network": str(self.network),
            "network_digest": self.digest,
            "images_seen": self.images_seen,
            "kimg": None if self.images_seen is None else self.images_seen / 1000,
            **shared,
            **{key: {entry["metric"]: entry[key] for entry in ours} for key in _BY_METRIC},
            "metrics": {name: value for entry in ours for name, value in entry["metrics"].items()},
            "floor": {name: value for entry in ours for name, value in entry["floor"].items()},
            **({"others": others} if others else {}),
        }
        directory.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
        return path


def result_path(directory: Path, label: str) -> Path:
    """Where the figures of a generator go."""
    return directory / f"metrics-{label}.json"


def require_writable(directory: Path) -> None:
    """Makes a directory for results.

    Raises:
      UserError: it can't be made, or nothing can be written to it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UserError(
            f"{directory}: results can't be written: {error.strerror}; name another --output"
        ) from error


def figures_of(metric: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Those of one metric, whose name is their first word."""
    return {name: value for name, value in figures.items() if name.split("/")[0] == metric}


class Found(NamedTuple):
    """What was found before of one metric.

    Attributes:
      figures: by name.
      floor: likewise; empty where it was not wanted, or the data are too few.
    """

    figures: dict[str, float]
    floor: dict[str, float]


def read_figures(path: Path, *, digest: str, settings: Mapping[str, Any]) -> dict[str, Found]:
    """Figures of a generator that were written before under equal settings, by metric.

    Args:
      path: of `result_path`.
      digest: SHA-256 of the generator's file.
      settings: as `Result.settings`; they name the metrics.
    """
    before = {_identity(entry): entry for entry in _read_entries(path, digest=digest)}
    found = {}
    for wanted in _entries(settings, {}, {}):
        entry = before.get(_identity(wanted))
        if entry and entry["metrics"]:
            numbers = (
                {name: _number(value) for name, value in entry[key].items()}
                for key in ("metrics", "floor")
            )
            found[wanted["metric"]] = Found(*numbers)
    return found


def _entries(
    settings: Mapping[str, Any], figures: Mapping[str, Any], floor: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One for each metric, of JSON values: its name, its own settings, its figures and floor."""
    shared = {key: value for key, value in settings.items() if key not in _BY_METRIC}
    return [
        {
            "metric": name,
            **shared,
            **{key: settings.get(key, {}).get(name) for key in _BY_METRIC},
            "metrics": _finite(figures_of(name, figures)),
            "floor": _finite(figures_of(name, floor)),
        }
        for name in settings["num_images"]
    ]


def _identity(entry: Mapping[str, Any]) -> str:
    """What figures depend on, of an entry."""
    depends = {key: value for key, value in entry.items() if key not in ("metrics", "floor")}
    return json.dumps(depends, sort_keys=True)


def _read_entries(path: Path, *, digest: str) -> list[dict[str, Any]]:
    """All that a file says of a network; nothing if it speaks of another, or can't be read."""
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT or content["network_digest"] != digest:
            return []
        settings = {key: value for key, value in content.items() if key not in _NO_SETTINGS}
        entries = _entries(settings, content["metrics"], content["floor"])
        for entry in content.get("others", []):
            figures = {key: _finite(entry[key]) for key in ("metrics", "floor")}
            entries.append({**entry, "metric": str(entry["metric"]), **figures})
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logging.warning(
            "%s can't be read, evaluating anew: %s: %s", path, type(error).__name__, error
        )
        return []
    return entries


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in figures.items()
    }


def table(results: Sequence[Result]) -> str:
    """A row a figure for one generator, with the floor; a row a generator for several."""
    names = list(results[0].figures)
    floor = results[0].floor
    if len(results) == 1:
        rows = [["", results[0].label, *([FLOOR] if floor else [])]]
        for name in names:
            cells = [format_value(results[0].figures[name])]
            cells += [format_value(floor.get(name))] if floor else []
            rows.append([name, *cells])
    else:
        rows = [["", *names]]
        rows += [[r.label, *(format_value(r.figures[n]) for n in names)] for r in results]
        if floor:
            rows.append([FLOOR, *(format_value(floor.get(name)) for name in names)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def format_value(value: float | None) -> str:
    """A figure for people: four significant digits, fewer for large ones."""
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def write_tensorboard(run: Path, results: Sequence[Result]) -> None:
    """Adds scalars `metrics/...` to a run's curves, over its own steps.

    TensorBoard follows the newest file of a directory alone. So while a training is adding to its
    own, these go to the directory `metrics` within the run.
    """
    directory = RunDirectory(run)
    unit = directory.metrics_log.images_per_step() or 1
    writer = tf.summary.create_file_writer(str(run / "metrics" if directory.is_locked() else run))
    with contextlib.closing(writer):
        for result in results:
            if result.images_seen is None:
                continue
            with writer.as_default(step=result.images_seen // unit):
                for name, value in result.figures.items():
                    tf.summary.scalar(TAG_PREFIX + name, value)
                for name, value in result.floor.items():
                    tf.summary.scalar(f"{TAG_PREFIX}{FLOOR}/{name}", value)
