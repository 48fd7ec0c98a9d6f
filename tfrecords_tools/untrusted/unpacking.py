"""Compressed files, unpacked no further than they may plausibly go.

A megabyte of gzip can unpack to a gigabyte, and a small header can announce what fills the memory.
"""

import contextlib
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import open_regular

GZIP_MAGIC = b"\x1f\x8b"
# No gzip file unpacks to more times its size.
MAX_GZIP_RATIO = 1100


@contextlib.contextmanager
def open_unpacked(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Yield a file, without its compression if it is compressed by gzip, as a stream.

    Args:
      path: the file's.
      max_bytes: after which reading fails.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file; or, while it is read, it unpacks to more than `max_bytes`.
    """
    with open_regular(path) as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        stream: BinaryIO = gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[assignment]
        with stream, _Limited(stream, max_bytes, path) as limited:
            yield limited  # type: ignore[misc]


class _Limited(io.RawIOBase):
    """A stream that ends with an error after a number of bytes; it is read only forward."""

    def __init__(self, stream: BinaryIO, max_bytes: int, path: Path):
        self._stream = stream
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._path = path

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, or all that are left."""
        wanted = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        data = self._stream.read(wanted)
        self._left -= len(data)
        if self._left < 0:
            raise UserError(
                f"{self._path}: unpacks to more than {self._max_bytes} bytes, which no such file"
                " should hold"
            )
        return data
