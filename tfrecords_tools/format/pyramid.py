"""A pyramid: the same images, in the same order, at every resolution from full down to 4x4."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.level import Level, RawFile, find_channels
from tfrecords_tools.format.manifest import MANIFEST_NAME, read_manifest

SMALLEST_LOG2 = 2
_LEVEL_PATTERN = re.compile(r"(?P<name>.+)-r(?P<log2>\d\d)\.tfrecords")


def level_name(name: str, resolution: int) -> str:
    """File name of a level: `NAME-r05.tfrecords` at 32x32."""
    return f"{name}-r{resolution.bit_length() - 1:02d}.tfrecords"


def labels_name(name: str) -> str:
    """File name of a pyramid's labels, which all its levels share."""
    return f"{name}-rxx.labels"


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
    labels: np.ndarray | None = dataclasses.field(default=None, repr=False)
    label_names: tuple[str, ...] | None = None
    manifest: dict[str, Any] | None = dataclasses.field(default=None, repr=False)

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
    name, paths = _find_levels(directory)
    manifest = read_manifest(directory)
    levels = [_open_level(paths[log2], 1 << log2) for log2 in sorted(paths)]
    full = levels[-1]
    for level in levels:
        if (level.count, level.channels) != (full.count, full.channels):
            raise UserError(
                f"{level.files[0].path}: every level must hold the same images:"
                f" {_contents(full)} at {full.resolution}x{full.resolution}."
                f" Received: {_contents(level)} at {level.resolution}x{level.resolution}"
            )
    labels = _open_labels(directory, name, full.count)
    pyramid = Pyramid(
        directory=directory,
        name=name,
        count=full.count,
        channels=full.channels,
        resolution=full.resolution,
        levels=tuple(levels),
        labels=labels,
        label_names=tuple((manifest or {}).get("label_names") or ()) or None,
        manifest=manifest,
    )
    _compare_with_manifest(pyramid)
    return pyramid


def _find_levels(directory: Path) -> tuple[str, dict[int, Path]]:
    """The pyramid's name, and its files by resolution_log2, without a gap."""
    if not directory.is_dir():
        problem = "not a directory" if directory.exists() else "no such directory"
        raise UserError(f"{directory}: {problem}; expected a pyramid of pgan-prepare-tfrecords")
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(directory.iterdir()):
        match = _LEVEL_PATTERN.fullmatch(path.name)
        if match:
            found.setdefault(match["name"], {})[int(match["log2"])] = path
    if not found:
        raise UserError(
            f"{directory}: no pyramid in it; expected files like {level_name('NAME', 4)}, as"
            " written by pgan-prepare-tfrecords"
        )
    if len(found) > 1:
        raise UserError(f"{directory}: must hold one pyramid. Received: {', '.join(sorted(found))}")
    name, paths = found.popitem()
    for log2 in range(SMALLEST_LOG2, max(*paths, SMALLEST_LOG2) + 1):
        if log2 not in paths:
            raise UserError(
                f"{directory / level_name(name, 1 << log2)}: missing; a pyramid has every level"
                f" from 4x4 to its full resolution, {1 << max(paths)}x{1 << max(paths)}"
            )
    if min(paths) < SMALLEST_LOG2:
        raise UserError(f"{paths[min(paths)]}: unexpected; the smallest level of a pyramid is 4x4")
    return name, paths


def _open_level(path: Path, resolution: int) -> Level:
    channels = find_channels(path, resolution)
    return Level(resolution, channels, (RawFile(path, channels, resolution),))


def _open_labels(directory: Path, name: str, count: int) -> np.ndarray | None:
    path = directory / labels_name(name)
    if not path.exists():
        return None
    try:
        labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not an array saved by numpy.save ({error})") from error
    if not isinstance(labels, np.ndarray):
        raise UserError(f"{path}: must be one array saved by numpy.save. Received: an archive")
    if labels.dtype != np.float32 or labels.ndim != 2:
        received = f"{labels.dtype} {list(labels.shape)}"
        raise UserError(f"{path}: labels must be float32 [images classes]. Received: {received}")
    if len(labels) != count:
        raise UserError(f"{path}: must hold {count} labels, one an image. Received: {len(labels)}")
    if labels.shape[1] == 0:
        raise UserError(f"{path}: must have at least one class. Received: none")
    return labels.view(np.ndarray)


def _compare_with_manifest(pyramid: Pyramid) -> None:
    if pyramid.manifest is None:
        return
    path = pyramid.directory / MANIFEST_NAME
    for key in ("count", "resolution", "channels"):
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
