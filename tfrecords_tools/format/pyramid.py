"""A pyramid: the same images, in the same order, at every resolution from full down to 4x4."""

import dataclasses
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.format.byte_source import ByteSource, Directory, LocalDirectory, name_of
from tfrecords_tools.format.example import ImageType, image_type
from tfrecords_tools.format.first_record import find_channels, guess_base_and_bits
from tfrecords_tools.format.labels import read_labels
from tfrecords_tools.format.level import Level, RecordFile
from tfrecords_tools.format.manifest import MANIFEST_NAME, parse_manifest
from tfrecords_tools.format.names import (
    INDEX_SUFFIX,
    SMALLEST_LOG2,
    find_levels,
    labels_name,
)
from tfrecords_tools.format.png_file import open_index, open_png_file
from tfrecords_tools.format.raw_file import open_raw_file
from tfrecords_tools.printable import encodable
from tfrecords_tools.shape import SQUARE, Base, has_alpha


@dataclasses.dataclass(frozen=True, eq=False)
class Pyramid:
    """A dataset, opened by `open_pyramid` on disk or by `open_pyramid_in` elsewhere.

    Attributes:
      location: path or URL of its directory.
      name: the beginning of its files' names.
      count: number of images.
      channels: 1 (grayscale), 2 (with alpha), 3 (RGB) or 4 (RGBA).
      resolution: the full resolution, 4 times a power of two; the side of squares in pixels.
      levels: from the base to the full resolution.
      encoding: "raw" or "png", the way images are stored.
      labels: [count label_size] float32, mapped from a file on disk, or None. `labels_of` is for
        reading them long after the pyramid was opened.
      labels_source: the file of the labels, or None.
      base: height and width at resolution 4.
      bits: of a value, 8 or 16.
      label_names: a name for each column of `labels`, where the manifest has them.
      manifest: the contents of `manifest.json`, or None where there is none.
    """

    location: str
    name: str
    count: int
    channels: int
    resolution: int
    levels: tuple[Level, ...] = dataclasses.field(repr=False)
    encoding: str = "raw"
    labels: np.ndarray | None = dataclasses.field(default=None, repr=False)
    label_names: tuple[str, ...] | None = None
    manifest: dict[str, Any] | None = dataclasses.field(default=None, repr=False)
    labels_source: ByteSource | None = dataclasses.field(default=None, repr=False)
    base: Base = SQUARE
    bits: int = 8

    def labels_of(self, records: np.ndarray) -> np.ndarray:
        """Return the labels of images, [k label_size] float32.

        Raises:
          UserError: their file has become shorter since it was opened.
        """
        if self.labels is None:
            return np.zeros([len(records), 0], np.float32)
        labels = np.asarray(self.labels[records])
        if self.labels_source is not None:
            self.labels_source.require_whole()
        return labels

    @property
    def is_remote(self) -> bool:
        """True for a pyramid that is read over a network."""
        return self.levels[-1].files[0].source.is_remote

    @property
    def directory(self) -> Path:
        """The directory of a pyramid on disk."""
        if self.is_remote:
            raise ValueError(f"not a directory on disk: {self.location}")
        return Path(self.location)

    @property
    def shards(self) -> int:
        """Number of files of each level."""
        return len(self.levels[-1].files)

    @property
    def size_text(self) -> str:
        """The size of an image at the full resolution in words: `96x64`, the width first."""
        return self.base.text_at(self.resolution)

    @property
    def has_alpha(self) -> bool:
        """True if the last channel of images is alpha."""
        return has_alpha(self.channels)

    @property
    def label_size(self) -> int:
        """Number of columns of the labels; 0 where there are none."""
        return 0 if self.labels is None else self.labels.shape[1]

    def level(self, resolution: int) -> Level:
        """Return the level of a resolution.

        Raises:
          UserError: there is no such level.
        """
        for level in self.levels:
            if level.resolution == resolution:
                return level
        known = ", ".join(str(level.resolution) for level in self.levels)
        raise UserError(f"{self.location}: its levels are {known}. Received: {resolution}")


def open_pyramid(directory: str | os.PathLike) -> Pyramid:
    """Open a pyramid on disk, written by this project or by the original implementation.

    Reads one record of each level and maps the files. Records are checked when they are read.

    Raises:
      UserError: in one line, what is missing, damaged or contradictory.
    """
    return open_pyramid_in(LocalDirectory(user_path(directory)))


def require_pyramid(location: str) -> None:
    """Refuse a directory that is not there or holds no pyramid; nothing is known of a URL.

    Raises:
      UserError: names what is missing.
    """
    if "://" not in location:
        directory = LocalDirectory(Path(location))
        find_levels(directory.location, directory.list())


def open_pyramid_in(directory: Directory) -> Pyramid:
    """Open a pyramid wherever it is; see `open_pyramid`."""
    names = directory.list()
    name, level_files = find_levels(directory.location, names)
    manifest = None
    if MANIFEST_NAME in names:
        source = directory.open(MANIFEST_NAME)
        manifest = parse_manifest(source.location, source.read(0, source.size).tobytes())
    encoding = find_encoding(manifest, names, level_files)
    base, bits = find_base_and_bits(manifest, directory, level_files)
    levels = [
        _open_level(directory, level_files[log2], base, 1 << log2, bits, encoding)
        for log2 in sorted(level_files)
    ]
    _check_counts(levels)
    full = levels[-1]
    if manifest is not None:
        _check_manifest(f"{directory.location}/{MANIFEST_NAME}", manifest, full)
    labels, labels_source = None, None
    if labels_name(name) in names:
        labels_source = directory.open(labels_name(name))
        labels = read_labels(labels_source, full.count, manifest)
    return Pyramid(
        location=directory.location,
        name=name,
        count=full.count,
        channels=full.channels,
        resolution=full.resolution,
        levels=tuple(levels),
        encoding=encoding,
        labels=labels,
        label_names=_label_names(directory.location, manifest, labels),
        manifest=manifest,
        labels_source=labels_source,
        base=base,
        bits=bits,
    )


def find_encoding(
    manifest: dict[str, Any] | None, names: Collection[str], level_files: dict[int, list[str]]
) -> str:
    """Return the way images are stored.

    The manifest states it; without one, an index beside the full level's first file means PNG.

    Args:
      manifest: the pyramid's.
      names: of all files in its directory.
      level_files: by resolution_log2, the names of each level's files.
    """
    if manifest is not None:
        return manifest["encoding"]
    return "png" if level_files[max(level_files)][0] + INDEX_SUFFIX in names else "raw"


def find_base_and_bits(
    manifest: dict[str, Any] | None, directory: Directory, level_files: dict[int, list[str]]
) -> tuple[Base, int]:
    """Return the base of a pyramid and the bits of a value.

    The manifest states them; without one, the first record does.

    Args:
      manifest: the pyramid's.
      directory: where it is.
      level_files: by resolution_log2, the names of each level's files.
    """
    if manifest is not None:
        return Base(*manifest["base"]), manifest["bits"]
    return guess_base_and_bits(directory.open(level_files[SMALLEST_LOG2][0]))


def open_file(
    directory: Directory,
    source: ByteSource,
    image: ImageType,
    encoding: str,
    may_be_empty: bool,
) -> RecordFile:
    """Open one file of a level.

    Args:
      directory: where the file is.
      source: the file.
      image: the type of its images.
      encoding: "raw" or "png".
      may_be_empty: accept a file without records: a shard all of whose images were skipped.

    Raises:
      UserError: the file is damaged, or holds anything else, or its index does.
    """
    if encoding == "png":
        index = open_index(directory, name_of(source))
        return open_png_file(source, index, image)
    return open_raw_file(source, image, may_be_empty)


def _open_level(
    directory: Directory,
    names: Sequence[str],
    base: Base,
    resolution: int,
    bits: int,
    encoding: str,
) -> Level:
    sources = [directory.open(name) for name in names]
    # All images of a shard may have been skipped, but not of all shards.
    filled = next((source for source in sources if source.size), sources[0])
    channels = find_channels(filled, base.size_at(resolution), bits, encoding)
    image = image_type(channels, base, resolution, bits)
    may_be_empty = len(sources) > 1
    files = [open_file(directory, source, image, encoding, may_be_empty) for source in sources]
    return Level(resolution, image, tuple(files))


def _check_counts(levels: Sequence[Level]) -> None:
    """Refuse levels that do not hold the same images in the same shards."""
    full = levels[-1]
    for level in levels:
        if (level.count, level.channels) != (full.count, full.channels):
            raise UserError(
                f"{level.files[0].source.location}: every level must hold the same images:"
                f" {_contents(full)} at {full.size_text}."
                f" Received: {_contents(level)} at {level.size_text}"
            )
        for file, full_file in zip(level.files, full.files, strict=True):
            if file.count != full_file.count:
                raise UserError(
                    f"{file.source.location}: must hold as many images as"
                    f" {name_of(full_file.source)}, {full_file.count}. Received: {file.count}"
                )


def _check_manifest(location: str, manifest: dict[str, Any], full: Level) -> None:
    """Refuse a manifest of other files than the full level's."""
    for key, found in (
        ("count", full.count),
        ("resolution", full.resolution),
        ("channels", full.channels),
        ("shards", len(full.files)),
    ):
        if manifest[key] != found:
            raise UserError(
                f"{location}: disagrees with the files beside it: '{key}' is {manifest[key]} in the"
                f" manifest, {found} in the files"
            )


def _label_names(
    location: str, manifest: dict[str, Any] | None, labels: np.ndarray | None
) -> tuple[str, ...] | None:
    """Return the manifest's names of classes, one for each column of the labels."""
    names = tuple(map(encodable, (manifest or {}).get("label_names") or ()))
    classes = 0 if labels is None else labels.shape[1]
    if names and len(names) != classes:
        raise UserError(
            f"{location}/{MANIFEST_NAME}: must name the {classes} classes of the labels file."
            f" Received: {len(names)} names"
        )
    return names or None


def _contents(level: Level) -> str:
    return f"{level.count} images of {level.channels} channels"
