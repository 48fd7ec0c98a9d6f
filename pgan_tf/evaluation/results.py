"""Metrics written down: files `metrics-<kimg>.json`, and TensorBoard's scalars."""

import contextlib
import dataclasses
import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from pgan_tf.metrics import DINOV2, DINOV2_DIGEST
from pgan_tf.runs.run_directory import RunDirectory
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file
from tfrecords_tools.untrusted.json_file import read_object

TAG_PREFIX = "metrics/"
FLOOR = "floor"
SPREAD = "spread"
FORMAT = 1

_CHECKSUM = "checksum"
# Names of metrics whose values are from a file of an early version, which wrote no checksum; of an
# entry in `others`, true.
_UNVERIFIED = "without_checksum"

_VALUES = ("metrics", "floor", "spread")
# Settings that every metric has a value of its own for, of which early versions wrote the first
# four; and keys of a file other than settings.
_REPLICATES = "bootstrap"
_BY_METRIC = (
    *("num_images", "real_num_images", "extractors", "floor_num_images"),
    *("methods", _REPLICATES),
)
_NO_SETTINGS = {
    *("format", "network", "network_digest", "images_seen", "kimg", *_VALUES, "others"),
    _UNVERIFIED,
}
# The number of replicates changes the spread alone.
_NOT_OF_VALUES = {*_VALUES, _REPLICATES, _UNVERIFIED}


@dataclasses.dataclass(frozen=True)
class SnapshotMetrics:
    """Metrics of one generator.

    Attributes:
      network: its file.
      digest: SHA-256 of the file.
      label: its name in tables and in file names, such as `000150`.
      images_seen: real images that it was trained on; None if unknown.
      values: of the metrics, by name.
      settings: of the evaluation, as JSON values; `num_images`, `real_num_images`,
        `floor_num_images`, `extractors`, `methods` and `bootstrap` (the number of replicates) are
        mappings by the metric's name.
      floor: the values of reals against other reals; empty if not computed.
      spread: standard deviation of values over other fakes, by name, as far as it is known.
    """

    network: Path
    digest: str
    label: str
    images_seen: int | None
    values: Mapping[str, float]
    settings: Mapping[str, Any]
    floor: Mapping[str, float]
    spread: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def write_json(self, directory: Path) -> Path:
        """Write `metrics-<label>.json`, whole or not at all, and return its path.

        Earlier entries of the same network stay in the file: other metrics under the same settings
        beside the new ones, everything under other settings in `others`.
        """
        path = result_path(directory, self.label)
        entries, others = self._merge(_read_entries(path, digest=self.digest))
        unverified = [entry["metric"] for entry in entries if entry.get(_UNVERIFIED)]
        content = {
            "format": FORMAT,
            "network": str(self.network),
            "network_digest": self.digest,
            "images_seen": self.images_seen,
            "kimg": None if self.images_seen is None else self.images_seen / 1000,
            **self._shared_settings,
            **{key: {entry["metric"]: entry[key] for entry in entries} for key in _BY_METRIC},
            **{
                key: {name: value for entry in entries for name, value in entry[key].items()}
                for key in _VALUES
            },
            **({_UNVERIFIED: unverified} if unverified else {}),
            **({"others": others} if others else {}),
        }
        directory.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            text = json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=2)
            temporary.write_text(text + "\n")
        return path

    @property
    def _shared_settings(self) -> dict[str, Any]:
        return {key: value for key, value in self.settings.items() if key not in _BY_METRIC}

    def _merge(
        self, stored: Sequence[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Merge these metrics with the entries of a file.

        Args:
          stored: the file's entries of the same network.

        Returns:
          The entries under these settings, the new ones first; and all other entries.
        """
        entries = _entries(self.settings, self.values, self.floor, self.spread)
        rest = {_identity(entry): entry for entry in stored}
        for entry in entries:
            same = rest.pop(_identity(entry), None)
            if same is None:
                continue
            taken = entry["metrics"] == same["metrics"] or (not entry["floor"] and same["floor"])
            if taken and same.get(_UNVERIFIED):
                entry[_UNVERIFIED] = True
            entry["floor"] = entry["floor"] or same["floor"]
            if not entry["spread"] and entry["metrics"] == same["metrics"]:
                entry["spread"], entry[_REPLICATES] = same["spread"], same.get(_REPLICATES)
        names = {entry["metric"] for entry in entries}
        others = []
        for entry in rest.values():
            fits = all(entry.get(key) == value for key, value in self._shared_settings.items())
            if fits and entry["metric"] not in names:
                entries.append(entry)
                names.add(entry["metric"])
            else:
                others.append(entry)
        return entries, others


def result_path(directory: Path, label: str) -> Path:
    """Return the path of the file for a generator's metrics."""
    return directory / f"metrics-{label}.json"


def require_writable(directory: Path) -> None:
    """Make a directory for results, if need be, and check that files can be written there.

    Raises:
      UserError: they can't.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UserError(
            f"{directory}: results can't be written: {error.strerror}; name another --output"
        ) from error


def values_of(metric: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of one metric: those whose name begins with the metric's."""
    return {name: value for name, value in values.items() if name.split("/")[0] == metric}


class StoredMetrics(NamedTuple):
    """Values of one metric from an earlier evaluation.

    Attributes:
      values: by name.
      floor: likewise; empty if not computed, or if there are too few images.
      spread: likewise; empty if not computed.
      bootstrap: number of replicates of the spread; None in files of early versions, which have
        no spread.
    """

    values: dict[str, float]
    floor: dict[str, float]
    spread: dict[str, float]
    bootstrap: int | None


def read_stored(
    path: Path, *, digest: str, settings: Mapping[str, Any]
) -> dict[str, StoredMetrics]:
    """Read the metrics of a generator that were written under equal settings.

    Args:
      path: from `result_path`.
      digest: SHA-256 of the generator's file.
      settings: as `SnapshotMetrics.settings`; they name the metrics.

    Returns:
      The metrics that are there, by name; but for those with another number of replicates, if a
      spread is wanted. Those of early versions stay without.
    """
    stored = {_identity(entry): entry for entry in _read_entries(path, digest=digest)}
    found = {}
    for wanted in _entries(settings, {}, {}, {}):
        entry = stored.get(_identity(wanted))
        if not entry or not entry["metrics"]:
            continue
        replicates = entry.get(_REPLICATES)
        if not wanted[_REPLICATES] or replicates in (None, wanted[_REPLICATES]):
            values, floor, spread = (
                {name: _number(value) for name, value in entry[key].items()} for key in _VALUES
            )
            found[wanted["metric"]] = StoredMetrics(values, floor, spread, replicates)
    return found


def read_known(directory: Path, *, digest: str) -> list[tuple[str, dict[str, Any]]]:
    """Read all metrics of a generator that a directory holds, under whatever settings.

    Args:
      directory: with files of results.
      digest: SHA-256 of the generator's file.

    Returns:
      Pairs of a file's label, such as `000150`, and an entry: the metric's name, its settings, and
      its values by name under `metrics`, `floor` and `spread`.
    """
    known = []
    for path in sorted(directory.glob(result_path(directory, "*").name)):
        label = path.stem.removeprefix("metrics-")
        known += [(label, entry) for entry in _read_entries(path, digest=digest)]
    return known


def _entries(
    settings: Mapping[str, Any],
    values: Mapping[str, Any],
    floor: Mapping[str, Any],
    spread: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return an entry for each metric, of JSON values: its name, settings, and all values."""
    shared = {key: value for key, value in settings.items() if key not in _BY_METRIC}
    return [
        {
            "metric": name,
            **shared,
            **{key: settings.get(key, {}).get(name) for key in _BY_METRIC},
            "metrics": _finite(values_of(name, values)),
            "floor": _finite(values_of(name, floor)),
            "spread": _finite(values_of(name, spread)),
        }
        for name in settings["num_images"]
    ]


def _identity(entry: Mapping[str, Any]) -> str:
    """Return the part of an entry that its values depend on, as text."""
    # Settings that early versions did not have are None where their values are the same.
    depends = {
        key: value
        for key, value in entry.items()
        if key not in _NOT_OF_VALUES and value is not None
    }
    return json.dumps(depends, sort_keys=True)


def _read_entries(path: Path, *, digest: str) -> list[dict[str, Any]]:
    """Read the entries of a network; none if the file is of another, or can't be read."""
    try:
        content = read_object(path)
        stated = content.pop(_CHECKSUM, None)
        if stated is not None and stated != _checksum(content):
            raise ValueError(
                "damaged, or edited: its checksum is wrong (if it was edited on purpose, remove "
                f"its key '{_CHECKSUM}')"
            )
        if content["format"] != FORMAT or content["network_digest"] != digest:
            return []
        settings = {key: value for key, value in content.items() if key not in _NO_SETTINGS}
        spread = content.get("spread", {})
        entries = _entries(settings, content["metrics"], content["floor"], spread)
        for entry in entries:
            if entry["metric"] in content.get(_UNVERIFIED, ()):
                entry[_UNVERIFIED] = True
        for entry in content.get("others", []):
            values = {key: _finite(entry[key]) for key in ("metrics", "floor")}
            values["spread"] = _finite(entry.get("spread", {}))
            entries.append({**entry, "metric": str(entry["metric"]), **values})
        if stated is None:
            for entry in entries:
                entry[_UNVERIFIED] = True
            logging.log_first_n(
                logging.WARNING,
                "%s carries no checksum, as an early version wrote it: its values are used as they "
                "are, and marked '%s' when it is written again; --noreuse computes them again",
                1,
                path,
                _UNVERIFIED,
            )
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        logging.warning(
            "%s can't be read, evaluating again: %s: %s", path, type(error).__name__, error
        )
        return []
    return entries


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a file's content but for the checksum itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in values.items()
    }


def write_tensorboard(run: Path, results: Sequence[SnapshotMetrics]) -> None:
    """Add scalars `metrics/...` to a run, over the run's own steps.

    TensorBoard follows only the newest file in a directory. So while the run is being trained,
    these scalars go to its subdirectory `metrics`.
    """
    directory = RunDirectory(run)
    unit = directory.metrics_log.images_per_step() or 1
    writer = tf.summary.create_file_writer(str(run / "metrics" if directory.is_locked() else run))
    with contextlib.closing(writer):
        for result in results:
            if result.images_seen is None:
                continue
            extractors = result.settings.get("extractors") or {}
            with writer.as_default(step=result.images_seen // unit):
                of_kinds = (("", result.values), (FLOOR, result.floor), (SPREAD, result.spread))
                for kind, values in of_kinds:
                    for name, value in values.items():
                        digest = extractors.get(name.split("/")[0])
                        tf.summary.scalar(scalar_tag(name, kind, extractor=digest), value)


def scalar_tag(name: str, kind: str = "", *, extractor: str | None) -> str:
    """Return the tag of a value in TensorBoard and in the metrics log.

    Args:
      name: of the value.
      kind: "" for the value itself, or `FLOOR` or `SPREAD`.
      extractor: digest of the metric's extractor, or None. Values of DINOv2 have tags of their own,
        since they share names, and nothing more, with those of Inception.
    """
    dinov2 = extractor is not None and extractor.startswith(DINOV2_DIGEST)
    return TAG_PREFIX + "/".join(filter(None, [DINOV2 if dinov2 else "", kind, name]))
