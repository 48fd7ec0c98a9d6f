"""A file on disk, mapped into memory.

Reading copies nothing: the operating system loads the pages that are looked at, and drops them
when it needs the memory. The reader requests what it will need next. Where the file is cut short
meanwhile, zeros are read (`lost_pages.py`), so its size is compared again afterwards.
"""

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.lost_pages import survive_lost_pages
from tfrecords_tools.untrusted.regular_file import open_regular

# One call reads no more than a disk's largest request, whatever length it is given. This is below
# the usual limits.
_REQUEST_BYTES = 1 << 19

# Files up to this size are requested as a whole: their records are so small that a request for each
# would take longer than reading it.
_SMALL_FILE_BYTES = 64 << 20


def _mincore() -> Callable[[int, int, ctypes.Array], int] | None:
    """Return Linux's call that finds out which pages are in memory."""
    if sys.platform != "linux":
        return None
    # PyDLL keeps the interpreter's lock: the call ends before another thread could use the lock.
    function = ctypes.PyDLL(None).mincore
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return function


_MINCORE = _mincore()


class MappedFile:
    """The bytes of a file on disk; a `ByteSource`. Threads may share it.

    Attributes:
      location: the file's path.
      size: in bytes.
      is_remote: False.
      data: [size] uint8, read-only.
    """

    is_remote = False

    def __init__(self, path: Path):
        self.location = str(path)
        self._mapping: mmap.mmap | None = None
        self._requested_all = False
        # Linux claims that every page is in memory of a file that one may not write to.
        self._mincore = _MINCORE if os.access(path, os.W_OK) else None
        self.data = np.empty(0, np.uint8)
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size:  # an empty file cannot be mapped
                self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.data = np.frombuffer(self._mapping, np.uint8)
                survive_lost_pages(self._mapping, self.data.ctypes.data)
        self.size = len(self.data)

    def read(self, start: int, end: int) -> np.ndarray:
        """Return a view of the bytes from `start` up to `end`, or up to the file's end."""
        self.require_whole()
        return self.data[start:end]

    def read_spans(self, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the whole file and the spans as they are, after requesting these bytes."""
        self.require_whole()
        self.will_read(spans)
        return self.data, spans

    def require_whole(self) -> None:
        """Refuse a file that has become shorter: what was read of it may be zeros.

        Raises:
          UserError: it has.
        """
        # Asks the operating system, by the open file: another file may have its name now.
        try:
            left = self._mapping.size() if self._mapping is not None else 0
        except OSError as error:  # of a file system in a network
            raise UserError(f"{self.location}: can't be read: {error.strerror}") from error
        if left < self.size:
            raise UserError(
                f"{self.location}: has been cut short since it was opened: {left} of {self.size}"
                " bytes are left"
            )

    def will_read(self, spans: np.ndarray) -> None:
        """Request parts of the file from the operating system, without waiting for them.

        Without that it would read them one after the other, each in several pieces as they are
        looked at, with many pages around them that are of no use. Large parts that are in memory
        are not requested: finding that out takes a tenth of the time.

        Args:
          spans: [k 2] integers, the begin and the end of each part, in bytes. Bytes past the file's
            end are left out.
        """
        if self._mapping is None or self._requested_all:
            return
        if self.size <= _SMALL_FILE_BYTES:
            self._requested_all = True
            spans = np.array([[0, self.size]])
        for start, stop in spans.tolist():
            begin, end = start - start % mmap.PAGESIZE, min(stop, self.size)
            # Looking takes as long as a small request, and pays where it saves several.
            if end - begin > _REQUEST_BYTES and self._in_memory(begin, end):
                continue
            for at in range(begin, end, _REQUEST_BYTES):
                self._mapping.madvise(mmap.MADV_WILLNEED, at, min(_REQUEST_BYTES, end - at))

    def _in_memory(self, begin: int, end: int) -> bool:
        """Return True if a part is known to be in memory."""
        if self._mincore is None:
            return False
        pages = (ctypes.c_ubyte * -(-(end - begin) // mmap.PAGESIZE))()
        failed = self._mincore(self.data.ctypes.data + begin, end - begin, pages)
        return not failed and 0 not in bytes(pages)
