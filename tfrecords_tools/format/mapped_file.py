"""A file's bytes, mapped into memory: read where they are looked at, and kept by nobody."""

import mmap
from pathlib import Path

import numpy as np

# One call asks for no more than a disk's largest request, whatever the length it is given; this is
# below the usual limits.
_REQUEST_BYTES = 1 << 19

# Files up to this size are asked for as a whole: their records are so small that asking for each
# would take longer than reading it.
_SMALL_FILE_BYTES = 64 << 20


class MappedFile:
    """A file's bytes, for reading. Threads may share it.

    Attributes:
      data: [size] uint8.
    """

    def __init__(self, path: Path):
        self._mapping: mmap.mmap | None = None
        self._asked_for_all = False
        self.data = np.empty(0, np.uint8)
        with path.open("rb") as file:
            if path.stat().st_size:  # an empty file cannot be mapped
                self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.data = np.frombuffer(self._mapping, np.uint8)

    def will_read(self, spans: np.ndarray) -> None:
        """Asks the operating system for parts of the file, all at once, without waiting for them.

        Otherwise it would read them one after the other, each in several pieces as they are looked
        at, and much around them that nobody needs.

        Args:
          spans: [k 2] integers, where each part begins and ends, in bytes. What lies past the
            file's end is left out.
        """
        if self._mapping is None or self._asked_for_all:
            return
        if len(self.data) <= _SMALL_FILE_BYTES:
            self._asked_for_all = True
            spans = np.array([[0, len(self.data)]])
        for start, stop in spans.tolist():
            end = min(stop, len(self.data))
            for at in range(start - start % mmap.PAGESIZE, end, _REQUEST_BYTES):
                self._mapping.madvise(mmap.MADV_WILLNEED, at, min(_REQUEST_BYTES, end - at))
