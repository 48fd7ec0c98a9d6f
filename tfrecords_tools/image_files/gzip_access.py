"""Random access to the decompressed bytes of a gzip file."""

import bisect
import dataclasses
import zlib
from pathlib import Path
from typing import Any

from tfrecords_tools.untrusted.regular_file import open_regular

_COMPRESSED_CHUNK = 1 << 14
_PLAIN_CHUNK = 1 << 16
# A checkpoint takes about 50 kB of memory. More of them make reading faster.
_MAX_CHECKPOINTS = 1000
_MIN_SPACING = 1 << 17


@dataclasses.dataclass
class _Position:
    """A state of the decompressor.

    Attributes:
      plain: number of decompressed bytes that it has returned.
      fed: number of compressed bytes that it has taken.
      decompressor: the zlib object.
    """

    plain: int
    fed: int
    decompressor: Any

    def copy(self) -> "_Position":
        return _Position(self.plain, self.fed, self.decompressor.copy())


class GzipAccess:
    """Reader of a gzip file at any offset of its decompressed bytes. Not thread-safe.

    A read decompresses from the nearest state before its offset: the current state, or one of the
    checkpoints that are kept when the file is decompressed for the first time. The last
    decompressed block is kept too, because the next read often begins in it.
    """

    def __init__(self, path: Path, plain_bytes: int):
        """Open the file.

        Args:
          path: the gzip file, of one or several members.
          plain_bytes: its approximate decompressed size in bytes, by which checkpoints are spaced.
        """
        self._file = open_regular(path)
        self._spacing = max(_MIN_SPACING, plain_bytes // _MAX_CHECKPOINTS)
        start = _Position(0, 0, zlib.decompressobj(wbits=31))
        self._checkpoints = [start]
        self._now = start.copy()
        self._last = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` decompressed bytes from `offset`, or fewer at the end of the file.

        Raises:
          zlib.error, EOFError: the file is damaged or truncated.
        """
        pieces: list[bytes] = []
        last_start = self._now.plain - len(self._last)
        if last_start <= offset < self._now.plain:
            piece = self._last[offset - last_start : offset - last_start + size]
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        elif not self._nearest_is_current(offset):
            at = bisect.bisect(self._checkpoints, offset, key=lambda position: position.plain) - 1
            self._now = self._checkpoints[at].copy()
            self._last = b""
        while size > 0:
            start = self._now.plain
            self._last = data = self._next()
            if not data:
                break
            piece = data[max(0, offset - start) : max(0, offset + size - start)]
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _nearest_is_current(self, offset: int) -> bool:
        last = self._checkpoints[-1].plain
        return self._now.plain <= offset and (
            offset - self._now.plain < self._spacing or self._now.plain >= last
        )

    def _next(self) -> bytes:
        """Return the next decompressed bytes, none at the end of the file."""
        now = self._now
        while True:
            self._file.seek(now.fed)
            chunk = self._file.read(_COMPRESSED_CHUNK)
            if now.decompressor.eof:
                if not chunk.strip(b"\0"):
                    return b""  # the end, or padding
                now.decompressor = zlib.decompressobj(wbits=31)
            if not chunk:
                raise EOFError("it ends too early")
            data = now.decompressor.decompress(chunk, _PLAIN_CHUNK)
            left = now.decompressor.unconsumed_tail or now.decompressor.unused_data
            now.fed += len(chunk) - len(left)
            now.plain += len(data)
            if (
                now.plain >= self._checkpoints[-1].plain + self._spacing
                and not now.decompressor.eof
            ):
                self._checkpoints.append(now.copy())
            if data:
                return data
