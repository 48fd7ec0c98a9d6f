"""A pyramid: the same images, in the same order, at every resolution from full down to 4x4."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.first_record import find_channels
from tfrecords_tools.format.level import Level, RecordFile
from tfrecords_tools.format.manifest import MANIFEST_NAME, read_manifest, sha256_of
from tfrecords_tools.format.names import find_levels, index_path, labels_name
from tfrecords_tools.format.png_file import PngFile
from tfrecords_tools.format.raw_file import RawFile


@dataclasses.dataclass(frozen=True, eq=False)
class Pyramid:
    """A dataset on disk, opened by `open_pyramid`.

    Attributes:
      directory: where it is.
      name: what its files' names begin with.
      count: number of images.
      channels: 1 (grayscale) or 3 (RGB).
      resolution: side in pixels at the full resolution, a power of two from 4.
      levels: from 4x4 to the full resolution.
      encoding: "raw" or "png", how the levels' files store images.
      labels: [count label_size] float32, mapped from disk, or None.
      label_names: a name for each column of `labels`, where the manifest has them.
      manifest: the contents of `manifest.json`, or None where there is none.
    """

    directory: Path
    name: str
    count: int
    channels: int
    resolution: int
    levels: tuple[Level, ...] = dataclasses.field(repr=False)
    encoding: str = "raw"
    labels: np.ndarray | None = dataclasses.field(default=None, repr=False)
    label_names: tuple[str, ...] | None = None
    manifest: dict[str, Any] | None = dataclasses.field(default=None, repr=False)

    @property
    def shards(self) -> int:
        """Number of files of each level."""
        return len(self.levels[-1].files)

    @property
    def label_size(self) -> int:
        """Number of columns of the labels; 0 where there are none."""
        return 0 if self.labels is None else self.labels.shape[1]

    def level(self, resolution: int) -> Level:
        """The level of a resolution.

        Raises:
          UserError: there is no such level.
        """
        for level in self.levels:
            if level.resolution == resolution:
                return level
        raise UserError(
            f"{self.directory}: its levels are {_listed(self.levels)}. Received: {resolution}"
        )


def open_pyramid(directory: str | os.PathLike) -> Pyramid:
    """Opens a pyramid written by this project or by the original implementation.

    Reads one record of each level and maps the files. Records are checked when they are read.

    Raises:
      UserError: in one line, what is missing, damaged or contradictory.
    """
    directory = Path(directory)
    name, paths = find_levels(directory)
    manifest = read_manifest(directory)
    encoding = find_encoding(manifest, paths[max(paths)])
    levels = [open_level(paths[log2], 1 << log2, encoding) for log2 in sorted(paths)]
    _check_counts(levels)
    full = levels[-1]
    labels = _open_labels(directory, name, full.count)
    if manifest is not None and labels is not None:
        _check_labels_sum(directory / labels_name(name), manifest)
    pyramid = Pyramid(
        directory=directory,
        name=name,
        count=full.count,
        channels=full.channels,
        resolution=full.resolution,
        levels=tuple(levels),
        encoding=encoding,
        labels=labels,
        label_names=tuple((manifest or {}).get("label_names") or ()) or None,
        manifest=manifest,
    )
    _compare_with_manifest(pyramid)
    return pyramid


def open_level(paths: Sequence[Path], resolution: int, encoding: str) -> Level:
    """Opens a level's files.

    Raises:
      UserError: one is missing, damaged, or holds something else.
    """
    # A shard may be empty if all its images were skipped, but not all of them.
    filled = next((path for path in paths if path.stat().st_size), paths[0])
    channels = find_channels(filled, resolution)
    may_be_empty = len(paths) > 1
    files = [open_file(path, channels, resolution, encoding, may_be_empty) for path in paths]
    return Level(resolution, channels, tuple(files))


def open_file(
    path: Path, channels: int, resolution: int, encoding: str, may_be_empty: bool
) -> RecordFile:
    """Opens one file of a level.

    Raises:
      UserError: it is missing, damaged, or holds something else.
    """
    if encoding == "png":
        return PngFile(path, channels, resolution)
    return RawFile(path, channels, resolution, may_be_empty)


def find_encoding(manifest: dict[str, Any] | None, paths: Sequence[Path]) -> str:
    """How images are stored: as the manifest says; without one, an index says that it is PNG."""
    if manifest is not None:
        return manifest["encoding"]
    return "png" if index_path(paths[0]).exists() else "raw"


def _check_counts(levels: Sequence[Level]) -> None:
    """Refuses levels that do not hold the same images in the same shards."""
    full = levels[-1]
    for level in levels:
        if (level.count, level.channels) != (full.count, full.channels):
            raise UserError(
                f"{level.files[0].path}: every level must hold the same images:"
                f" {_contents(full)} at {full.resolution}x{full.resolution}."
                f" Received: {_contents(level)} at {level.resolution}x{level.resolution}"
            )
        for file, full_file in zip(level.files, full.files, strict=True):
            if file.count != full_file.count:
                raise UserError(
                    f"{file.path}: must hold as many images as {full_file.path.name},"
                    f" {full_file.count}. Received: {file.count}"
                )


def _open_labels(directory: Path, name: str, count: int) -> np.ndarray | None:
    path = directory / labels_name(name)
    if not path.exists():
        return None
    labels = load_labels(path)
    if len(labels) != count:
        raise UserError(f"{path}: must hold {count} labels, one an image. Received: {len(labels)}")
    return labels


def load_labels(path: Path) -> np.ndarray:
    """A labels file, [images classes] float32, mapped from disk.

    Raises:
      UserError: it is damaged, or holds something else.
    """
    try:
        labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # whatever Python's parser says about a damaged header
        raise UserError(f"{path}: not an array saved by numpy.save ({error})") from error
    return check_labels(path, labels)


def check_labels(path: Path | str, labels: Any) -> np.ndarray:
    """What `numpy.load` made of the labels file at `path`, if it is labels.

    Raises:
      UserError: it is something else.
    """
    if not isinstance(labels, np.ndarray):
        raise UserError(f"{path}: must be one array saved by numpy.save. Received: an archive")
    if labels.dtype != np.float32 or labels.ndim != 2:
        received = f"{labels.dtype} {list(labels.shape)}"
        raise UserError(f"{path}: labels must be float32 [images classes]. Received: {received}")
    if labels.shape[1] == 0:
        raise UserError(f"{path}: must have at least one class. Received: none")
    return labels.view(np.ndarray)


def _check_labels_sum(path: Path, manifest: dict[str, Any]) -> None:
    """Labels have no checksum of their own, so they are compared with the manifest's."""
    stated = manifest["files"].get(path.name, {}).get("sha256")
    if stated is not None and sha256_of(path) != stated:
        raise UserError(
            f"{path}: damaged, or not the labels that were written: its SHA-256 is not"
            f" the one in {MANIFEST_NAME}"
        )


def _compare_with_manifest(pyramid: Pyramid) -> None:
    if pyramid.manifest is None:
        return
    path = pyramid.directory / MANIFEST_NAME
    for key in ("count", "resolution", "channels", "shards"):
        stated, found = pyramid.manifest[key], getattr(pyramid, key)
        if stated != found:
            raise UserError(
                f"{path}: disagrees with the files beside it: '{key}' is {stated} in the manifest,"
                f" {found} in the files"
            )
    if pyramid.label_names and len(pyramid.label_names) != pyramid.label_size:
        raise UserError(
            f"{path}: must name the {pyramid.label_size} classes of the labels file."
            f" Received: {len(pyramid.label_names)} names"
        )


def _contents(level: Level) -> str:
    return f"{level.count} images of {level.channels} channels"


def _listed(levels: tuple[Level, ...]) -> str:
    return ", ".join(str(level.resolution) for level in levels)
