"""One level of a pyramid, read by record number."""

import dataclasses
import functools
from pathlib import Path
from typing import Protocol

import numpy as np


class RecordFile(Protocol):
    """A file of a level: `count` images that can be read in any order, by several threads."""

    path: Path
    count: int

    def read(self, indices: np.ndarray, check: bool, out: np.ndarray | None = None) -> np.ndarray:
        """Images [k C H W] uint8 of the records `indices` [k] int64, all in 0..count-1.

        They are put into `out` of that shape, where it is given.
        """
        ...


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
        return int(self._ends[-1])

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        """[files] number of images in each file and those before it."""
        return np.cumsum([file.count for file in self.files])

    def locate(self, index: int) -> tuple[RecordFile, int]:
        """The file that holds image `index`, and the record's number in it."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        file = self.files[number]
        return file, index - int(self._ends[number]) + file.count

    def read(
        self, indices: np.ndarray, check: bool = True, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Reads images by number, in the order asked for.

        Args:
          indices: [k] integers in 0..count-1.
          check: whether to compare every record's checksum.
          out: [k C H W] uint8, where to put them; None: into new memory.

        Returns:
          [k C H W] uint8.

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
        shape = (len(indices), self.channels, self.resolution, self.resolution)
        images = np.empty(shape, np.uint8) if out is None else out
        numbers = np.searchsorted(self._ends, indices, side="right")
        for number in np.unique(numbers):
            file, here = self.files[number], np.flatnonzero(numbers == number)
            first = self._ends[number] - file.count
            images[here] = file.read(indices[here] - first, check)
        return images
