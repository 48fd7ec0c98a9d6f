"""One level of a pyramid, read by record number."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource, joined
from tfrecords_tools.format.example import ImageType, Shape


class RecordDecoder(Protocol):
    """From records to images, in one encoding."""

    def decode(
        self, data: np.ndarray, spans: np.ndarray, check: bool, out: np.ndarray | None
    ) -> np.ndarray:
        """Decode records.

        Args:
          data: [n] uint8, bytes that hold the records.
          spans: [k 2] int64, the begin and the end of each record in `data`.
          check: compare the records' checksums.
          out: [k C H W], memory for the images; None takes new memory.

        Returns:
          Images [k C H W] uint8 or uint16: `out` where it is given.

        Raises:
          DamagedRecordError: for the first record found to be damaged.
        """
        ...


class DamagedRecordError(ValueError):
    """One of the records handed to a decoder is damaged.

    Attributes:
      position: of the record among those handed over, 0..k-1.
    """

    def __init__(self, position: int, reason: str):
        super().__init__(reason)
        self.position = position


class Offsets(Protocol):
    """The positions of the records in a file."""

    @property
    def record_bytes(self) -> int | None:
        """The size of every record, or None where sizes differ."""
        ...

    def spans(self, indices: np.ndarray) -> np.ndarray:
        """Return where records begin and end in the file.

        Args:
          indices: [k] int64, the records' numbers.

        Returns:
          [k 2] int64, in bytes.
        """
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class RecordFile:
    """A level's file: images that can be read in any order, by several threads.

    Attributes:
      source: its bytes.
      count: number of images.
      offsets: positions of the records.
      decoder: decodes them.
    """

    source: ByteSource
    count: int
    offsets: Offsets
    decoder: RecordDecoder

    @property
    def path(self) -> Path:
        """Path of a file on disk."""
        return Path(self.source.location)

    def read(
        self, indices: np.ndarray, check: bool = True, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Read the images of the records `indices` [k] int64, all in 0..count-1.

        Args, result and errors are those of `Level.read`.
        """
        data, spans = self.source.read_spans(self.offsets.spans(indices))
        try:
            images = self.decoder.decode(data, spans, check, out)
        except DamagedRecordError as error:
            self.source.require_whole()
            raise self.damaged(int(indices[error.position]), error) from error
        self.source.require_whole()
        return images

    def damaged(self, record: int, reason: object) -> UserError:
        """Return the error that reports a damaged record."""
        return UserError(
            f"{self.source.location}: record {record} (of 0..{self.count - 1}) is damaged: {reason}"
        )


@dataclasses.dataclass(frozen=True)
class Level:
    """One resolution of a pyramid.

    Attributes:
      resolution: 4 times a power of two; the side of squares in pixels.
      image: the type of its images.
      files: the level's files, in order.
    """

    resolution: int
    image: ImageType
    files: tuple[RecordFile, ...]

    @property
    def channels(self) -> int:
        """Number of channels, 1 to 4."""
        return self.image.channels

    @property
    def shape(self) -> Shape:
        """The shape (C, H, W) of an image."""
        return self.image.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of an image's values, uint8 or uint16."""
        return self.image.dtype

    @property
    def image_bytes(self) -> int:
        """Size of a decoded image."""
        return self.image.nbytes

    @property
    def size_text(self) -> str:
        """The size of an image in words: `96x64`, the width first."""
        return f"{self.image.width}x{self.image.height}"

    @property
    def count(self) -> int:
        """Number of images."""
        return int(self._ends[-1])

    @property
    def size(self) -> int:
        """Size of all files in bytes, without their indexes."""
        return sum(file.source.size for file in self.files)

    @functools.cached_property
    def firsts(self) -> np.ndarray:
        """[files] int64, the number of each file's first image."""
        return self._ends - [file.count for file in self.files]

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        """[files] number of images in each file and those before it."""
        return np.cumsum([file.count for file in self.files])

    def locate(self, index: int) -> tuple[RecordFile, int]:
        """Return the file that holds image `index`, and the record's number in it."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self.files[number], index - int(self.firsts[number])

    def read(
        self, indices: np.ndarray, check: bool = True, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Read images by number, in the order of `indices`.

        From a remote level each image is a request of its own: for a few images.

        Args:
          indices: [k] integers in 0..count-1.
          check: compare every record's checksum.
          out: [k C H W], memory for the images; None takes new memory.

        Returns:
          [k C H W] of the level's type: `out` where it is given.

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
            return self.files[0].read(indices, check, out)
        images = np.empty((len(indices), *self.shape), self.dtype) if out is None else out
        numbers = np.searchsorted(self._ends, indices, side="right")
        for number in np.unique(numbers):
            here = np.flatnonzero(numbers == number)
            images[here] = self.files[number].read(indices[here] - self.firsts[number], check)
        return images

    def decode(self, indices: np.ndarray, records: Sequence[bytes]) -> np.ndarray:
        """Decode whole records that were read elsewhere, and compare their checksums.

        Args:
          indices: [k] numbers of the images, for errors.
          records: the bytes of each.

        Returns:
          [k C H W] of the level's type.

        Raises:
          UserError: a record is damaged; names the file and the record.
        """
        data, spans = joined(records)
        try:
            return self.files[0].decoder.decode(data, spans, check=True, out=None)
        except DamagedRecordError as error:
            file, record = self.locate(int(indices[error.position]))
            raise file.damaged(record, error) from error
