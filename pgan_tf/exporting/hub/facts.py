"""Facts about a saved generator and its run, for its model card: nothing about the machine.

What the run's files hold is a stranger's, or names the user's directories: only numbers, and names
of data, classes and flags, are taken.
"""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import keras

from pgan_tf.config import flags
from pgan_tf.evaluation.catalog import CATALOG, NEIGHBORS
from pgan_tf.evaluation.extraction import features_named
from pgan_tf.evaluation.neighbor_sheet import sheet_path
from pgan_tf.evaluation.results import read_known
from pgan_tf.evaluation.snapshots import SnapshotSelection, select_snapshots
from pgan_tf.runs.data_note import difference
from pgan_tf.runs.run_directory import CONFIG_NAME, RunDirectory
from pgan_tf.runs.saved_generator import GeneratorDescription
from tfrecords_tools.command.flagfile import read_flagfile
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid, open_pyramid, sha256_of
from tfrecords_tools.printable import printable

_SECONDS_PER_KIMG = "speed/seconds_per_kimg"
_TRAINED_ON = re.compile(r"# Trained on: (\d{1,18}) images")
# A flag that names a place: of files, on a network, or at W&B.
_PLACE = re.compile(r"^--wandb|[/\\~]|^[A-Za-z]:|_dir=|--init_from=|--data_dir=")
_MAX_NAME = 100


@dataclasses.dataclass(frozen=True)
class MetricRow:
    """One value of a metric.

    Attributes:
      name: such as `fid` or `swd/average`.
      value: of the generator's images against real ones.
      floor: of real images against other real ones; None if unknown.
      spread: standard deviation of the value over other fakes; None if unknown.
      num_images: generated images that were compared; None if unknown.
      data: name of the real images; empty if unknown.
      features: what the images were compared by, unless that is Inception as published or no
        network at all; empty else.
    """

    name: str
    value: float
    floor: float | None = None
    spread: float | None = None
    num_images: int | None = None
    data: str = ""
    features: str = ""

    @property
    def label(self) -> str:
        """Name of the value, with that of its features where they are not the usual ones."""
        return f"{self.name} ({self.features})" if self.features else self.name


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """The data that a run was trained on.

    Attributes:
      name: of its directory; empty if unknown.
      count: of images; None if unknown.
      source: kind of source that it was made from, such as `images` or `lsun`; empty if unknown.
      held_out: images that were never trained on.
    """

    name: str = ""
    count: int | None = None
    source: str = ""
    held_out: int = 0


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a generator and its run.

    Attributes:
      description: inside the generator's file.
      height: of its images, in pixels.
      width: of its images, in pixels.
      channels: of its images.
      latent_size: components of a latent vector.
      label_size: components of a label, 0 without labels.
      class_names: names of its classes; empty without names.
      parameters: number of its weights.
      data: of its run.
      flags: lines `--name=value` of its run; empty if unknown.
      training_seconds: measured time of training until then; None if unknown.
      metrics: of this very generator.
      neighbors: the sheet of its nearest training images; None without.
    """

    description: GeneratorDescription
    height: int
    width: int
    channels: int
    latent_size: int
    label_size: int
    class_names: Sequence[str]
    parameters: int
    data: DataFacts
    flags: Sequence[str]
    training_seconds: float | None
    metrics: Sequence[MetricRow]
    neighbors: Path | None

    @property
    def size_text(self) -> str:
        """Width and height, `64x64`."""
        return f"{self.width}x{self.height}"

    @property
    def kimg(self) -> float | None:
        """Thousands of real images that it was trained on."""
        seen = self.description.images_seen
        return None if seen is None else seen / 1000


def collect_facts(
    network: str | os.PathLike,
    model: keras.Model,
    description: GeneratorDescription,
    ema_length: float | None,
) -> Facts:
    """Collect what is known; metrics and data that can't be read are left out.

    Args:
      network: a run directory or a `.keras` file.
      model: its generator.
      description: of the generator.
      ema_length: of its moving average; see `load_generator`.

    Raises:
      UserError: the run's `config.flags` is damaged.
    """
    selection = select_snapshots(network, all_snapshots=False, ema_length=ema_length)
    latent_size, *label_size = [int(i.shape[-1]) for i in model.inputs]
    height, width, channels = map(int, model.outputs[0].shape[1:])
    names = description.label_names or ()
    known = label_size and len(names) == label_size[0]
    metrics, neighbors = _metrics(selection, ema_length)
    if not metrics and ema_length is None:
        metrics = _kept_metrics(description)
    lines = _flagfile_lines(selection)
    return Facts(
        description=description,
        height=height,
        width=width,
        channels=channels,
        latent_size=latent_size,
        label_size=label_size[0] if label_size else 0,
        class_names=tuple(names) if known else (),
        parameters=model.count_params(),
        data=_data(selection, lines),
        flags=_shown_flags(selection),
        training_seconds=_training_seconds(selection, description.images_seen),
        metrics=metrics,
        neighbors=neighbors,
    )


def _flagfile_lines(selection: SnapshotSelection) -> list[str]:
    if selection.run is None or selection.config is None:
        return []
    return read_flagfile(selection.run / CONFIG_NAME).splitlines()


def _shown_flags(selection: SnapshotSelection) -> list[str]:
    """Return the run's flags, as `config.flags` repeats them, without those that name a place."""
    if selection.config is None:
        return []
    lines = flags.to_flagfile(selection.config).splitlines()
    return [printable(line) for line in lines if line[:2] == "--" and not _PLACE.search(line)]


def _data(selection: SnapshotSelection, lines: Sequence[str]) -> DataFacts:
    config = selection.config
    if config is None:
        return DataFacts()
    location = config.data.data_dir
    pyramid = _reachable(location, lines)
    count = next((int(m[1]) for m in map(_TRAINED_ON.match, lines) if m), None)
    source = ""
    if pyramid is not None:
        described = (pyramid.manifest or {}).get("source")
        kind = described.get("kind") if isinstance(described, Mapping) else None
        source = kind if isinstance(kind, str) else ""
    return DataFacts(
        _last_part(location),
        pyramid.count if pyramid is not None else count,
        source[:_MAX_NAME],
        config.data.validation_images,
    )


def _last_part(location: Any) -> str:
    """Return the name of a directory or of a URL's last part, without where it lies."""
    return PurePosixPath(location).name[:_MAX_NAME] if isinstance(location, str) else ""


def _reachable(location: str, lines: Sequence[str]) -> Pyramid | None:
    """Return the data of a run, if they lie on this machine and are still the same."""
    if not location or "://" in location:
        return None
    try:
        pyramid = open_pyramid(location)
        return pyramid if difference(lines, pyramid) is None else None
    except (UserError, OSError):
        return None


def _training_seconds(selection: SnapshotSelection, images_seen: int | None) -> float | None:
    """Return the time that training took, by the speed that each tick has measured."""
    if selection.run is None or images_seen is None:
        return None
    total, before = 0.0, 0
    for row in RunDirectory(selection.run).metrics_log.rows():
        speed = row.values.get(_SECONDS_PER_KIMG)
        if speed is None or not 0 < speed < 1e9 or row.images_seen > images_seen:
            continue
        if row.images_seen > before:
            total += speed * (row.images_seen - before) / 1000
        before = row.images_seen
    return total or None


def _metrics(
    selection: SnapshotSelection, ema_length: float | None
) -> tuple[list[MetricRow], Path | None]:
    """Return the metrics of this very generator, and the sheet of its neighbors.

    Of a metric that was computed under several settings, those of the most images are taken, once
    for each data that it compares with and for each kind of features.
    """
    (snapshot,) = selection.snapshots
    best: dict[tuple[str, str, str], tuple[str, Mapping[str, Any]]] = {}
    for label, entry in read_known(selection.home, digest=sha256_of(snapshot.file)):
        if entry.get("ema_length") != ema_length:
            continue
        features = _features(entry["metric"], entry.get("extractors"))
        key = _last_part(entry.get("data")), entry["metric"], features
        known = best.get(key)
        if known is None or (_count(entry) or 0) > (_count(known[1]) or 0):
            best[key] = label, entry
    rows = [
        row
        for (data, _, features), (_, entry) in best.items()
        for row in _rows(entry, data, features)
    ]
    sheets = [
        sheet_path(selection.home, label)
        for (_, metric, _), (label, _) in best.items()
        if metric == NEIGHBORS
    ]
    found = (sheet for sheet in sheets if sheet.is_file() and not sheet.is_symlink())
    return rows, next(found, None)


def _features(metric: str, digest: Any) -> str:
    """Return the name of the features that a metric compares, empty for the published ones."""
    known = CATALOG.get(metric)
    if known is None or known.feature_kind != "features" or not isinstance(digest, str):
        return ""
    return features_named(digest)


def _rows(entry: Mapping[str, Any], data: str, features: str) -> list[MetricRow]:
    floor, spread = (entry.get(key) or {} for key in ("floor", "spread"))
    return [
        MetricRow(
            name,
            value,
            _number(floor.get(name)),
            _number(spread.get(name)),
            _count(entry),
            data,
            features,
        )
        for name, value in entry["metrics"].items()
        if _number(value) is not None
    ]


def _kept_metrics(description: GeneratorDescription) -> list[MetricRow]:
    """Return the metrics by which a generator was kept as the best of its run."""
    best = description.best or {}
    count, digest = best.get("num_images"), best.get("extractor")
    values = description.metrics or {}
    return [
        MetricRow(
            name,
            value,
            num_images=count if type(count) is int else None,
            features=_features(name.split("/")[0], digest),
        )
        for name, value in values.items()
        if _number(value) is not None
    ]


def _count(entry: Mapping[str, Any]) -> int | None:
    count = entry.get("num_images")
    return count if type(count) is int else None


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None
