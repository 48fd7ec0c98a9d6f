"""One level of a pyramid, read by record number."""

import dataclasses
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.record import FRAME_HEAD_BYTES, record_layout, stored_shape


class RecordFile(Protocol):
    """A file of a level: `count` images that can be read in any order."""

    path: Path
    count: int

    def read(self, indices: np.ndarray, check: bool) -> np.ndarray:
        """Images [k C H W] uint8 of the records `indices` [k] int64, all in 0..count-1."""
        ...


class RawFile:
    """A file of uncompressed images: records of one length, found by multiplication.

    The file is mapped, not read: memory does not grow with it, and threads may share an instance.
    """

    def __init__(self, path: Path, channels: int, resolution: int):
        """Maps the file and checks its size and its first record.

        Raises:
          UserError: the file is empty, cut short, or holds something else than such images.
        """
        self.path = path
        self._layouts = tuple(record_layout(channels, resolution, order) for order in (False, True))
        record_bytes = self._layouts[0].record_bytes
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(min(record_bytes, 2**24))
        _check_first_record(path, start, channels, resolution)
        if size % record_bytes:
            raise UserError(
                f"{path}: truncated or damaged: its size must be a multiple of its record length,"
                f" {record_bytes} bytes. Received: {size} bytes"
            )
        self.count = size // record_bytes
        mapped = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
        self._records = tuple(mapped.view(layout.dtype) for layout in self._layouts)

    def read(self, indices: np.ndarray, check: bool) -> np.ndarray:
        """Images [k C H W] uint8 of the records `indices` [k] int64, all in 0..count-1."""
        pixels = self._records[0]["pixels"][indices]
        rest = self._read_layout(0, pixels, np.arange(len(indices)), indices, check)
        if len(rest):
            pixels[rest] = self._records[1]["pixels"][indices[rest]]
            unknown = self._read_layout(1, pixels[rest], rest, indices, check)
            if len(unknown):
                self._refuse(indices[unknown[0]], "its header is damaged")
        return pixels

    def _read_layout(
        self, layout: int, pixels: np.ndarray, where: np.ndarray, indices: np.ndarray, check: bool
    ) -> np.ndarray:
        """Checks the records `indices[where]`; returns those of `where` laid out otherwise."""
        expected, records = self._layouts[layout], self._records[layout]
        wanted = indices[where]
        same = (records["head"][wanted] == np.frombuffer(expected.head, np.uint8)).all(axis=1)
        if expected.tail:
            same &= (records["tail"][wanted] == np.frombuffer(expected.tail, np.uint8)).all(axis=1)
        if check:
            known = slice(None) if same.all() else same
            bad = expected.checksums(pixels[known]) != records["crc"][wanted[known]]
            if bad.any():
                self._refuse(wanted[known][bad][0], "its checksum (CRC-32C) is wrong")
        return where[~same]

    def _refuse(self, index: int, why: str) -> None:
        raise UserError(f"{self.path}: record {index} (of 0..{self.count - 1}) is damaged: {why}")


@dataclasses.dataclass(frozen=True)
class Level:
    """One resolution of a pyramid.

    Attributes:
      resolution: height and width in pixels.
      channels: 1 or 3.
      files: the level's files, in order.
    """

    resolution: int
    channels: int
    files: tuple[RecordFile, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(file.count for file in self.files)

    def read(self, indices: np.ndarray, check: bool = True) -> np.ndarray:
        """Reads images by number, in the order asked for.

        Args:
          indices: [k] integers in 0..count-1.
          check: whether to compare every record's checksum.

        Returns:
          [k C H W] uint8, newly allocated.

        Raises:
          UserError: a record is damaged; names the file and the record.
          IndexError: an index is out of range.
        """
        indices = np.asarray(indices, np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.count:
            raise IndexError(
                f"indices must be in 0..{self.count - 1}."
                f" Received: {indices.min()}..{indices.max()}"
            )
        if len(self.files) == 1:
            return self.files[0].read(indices, check)
        images = np.empty((len(indices), self.channels, self.resolution, self.resolution), np.uint8)
        first = 0
        for file in self.files:
            here = np.flatnonzero((indices >= first) & (indices < first + file.count))
            if len(here):
                images[here] = file.read(indices[here] - first, check)
            first += file.count
        return images


def find_channels(path: Path, resolution: int) -> int:
    """The channels of a level's file of raw images, from its first record.

    Raises:
      UserError: the file does not begin with a record of this resolution with 1 or 3 channels.
    """
    with path.open("rb") as file:
        start = file.read(FRAME_HEAD_BYTES)
    for channels in (1, 3):
        if start == record_layout(channels, resolution).head[:FRAME_HEAD_BYTES]:
            return channels
    # Not one of ours: let the check that explains why do so, on more of the file.
    with path.open("rb") as file:
        _check_first_record(path, file.read(2**24), None, resolution)
    raise UserError(f"{path}: damaged: its first record's length is wrong")


def _check_first_record(path: Path, start: bytes, channels: int | None, resolution: int) -> None:
    """Says what is wrong with a file that begins with `start`, if anything."""
    if not start:
        raise UserError(f"{path}: empty; expected TFRecords of {resolution}x{resolution} images")
    if start[:2] == b"\x1f\x8b":
        raise UserError(f"{path}: compressed by gzip; expected uncompressed TFRecords")
    shape = stored_shape(start)
    wanted = (channels or "1 or 3", resolution, resolution)
    if shape is None:
        raise UserError(
            f"{path}: its first record has no feature 'shape'; expected TFRecords of images, as"
            " written by pgan-prepare-tfrecords or the original implementation"
        )
    allowed = (channels,) if channels else (1, 3)
    if shape[1:] != (resolution, resolution) or shape[0] not in allowed:
        raise UserError(
            f"{path}: its images must have the shape [{' '.join(map(str, wanted))}] (C H W)."
            f" Received: [{' '.join(map(str, shape))}]"
        )
