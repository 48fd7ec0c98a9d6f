"""A file's bytes, mapped into memory: read where they are looked at, and kept by nobody."""

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

# One call asks for no more than a disk's largest request, whatever the length it is given; this is
# below the usual limits.
_REQUEST_BYTES = 1 << 19

# Files up to this size are asked for as a whole: their records are so small that asking for each
# would take longer than reading it.
_SMALL_FILE_BYTES = 64 << 20


def _mincore() -> Callable[[int, int, ctypes.Array], int] | None:
    """Linux's call that tells which pages are in memory."""
    if sys.platform != "linux":
        return None
    # Without letting other threads have the interpreter meanwhile: it is done before they would.
    function = ctypes.PyDLL(None).mincore
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return function


_MINCORE = _mincore()


class MappedFile:
    """A file's bytes, for reading. Threads may share it.

    Attributes:
      data: [size] uint8.
    """

    def __init__(self, path: Path):
        self._mapping: mmap.mmap | None = None
        self._asked_for_all = False
        # Of a file that one may not write to, Linux says that all of it is in memory.
        self._mincore = _MINCORE if os.access(path, os.W_OK) else None
        self.data = np.empty(0, np.uint8)
        with path.open("rb") as file:
            if path.stat().st_size:  # an empty file cannot be mapped
                self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.data = np.frombuffer(self._mapping, np.uint8)

    def will_read(self, spans: np.ndarray) -> None:
        """Asks the operating system for parts of the file, all at once, without waiting for them.

        Otherwise it would read them one after the other, each in several pieces as they are looked
        at, and much around them that nobody needs. Large parts that are in memory are not asked
        for: finding that out takes a tenth of the time.

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
            begin, end = start - start % mmap.PAGESIZE, min(stop, len(self.data))
            # Worth a look where it saves several requests: it takes as long as a small one.
            if end - begin > _REQUEST_BYTES and self._in_memory(begin, end):
                continue
            for at in range(begin, end, _REQUEST_BYTES):
                self._mapping.madvise(mmap.MADV_WILLNEED, at, min(_REQUEST_BYTES, end - at))

    def _in_memory(self, begin: int, end: int) -> bool:
        """Whether a part is known to be in memory."""
        if self._mincore is None:
            return False
        pages = (ctypes.c_ubyte * -(-(end - begin) // mmap.PAGESIZE))()
        failed = self._mincore(self.data.ctypes.data + begin, end - begin, pages)
        return not failed and 0 not in bytes(pages)
