"""Bytes from the middle of a gzip file, without decompressing all before them each time."""

import bisect
import dataclasses
import zlib
from pathlib import Path
from typing import Any

_COMPRESSED_CHUNK = 1 << 14
_PLAIN_CHUNK = 1 << 16
# A checkpoint takes about 50 kB of memory. More of them make reading faster.
_CHECKPOINTS = 1000
_CLOSEST = 1 << 17


@dataclasses.dataclass
class _Position:
    """A state of decompression: what has been fed and what has come out."""

    plain: int
    fed: int
    decompressor: Any

    def copy(self) -> "_Position":
        return _Position(self.plain, self.fed, self.decompressor.copy())


class GzipAccess:
    """Reads at any offset of the decompressed bytes. Not for several threads at once.

    It goes forward from the nearest earlier state of the decompressor that it has kept: the current
    one, or a checkpoint of the first time it came by. The last bytes decompressed are kept too, as
    what is read next often begins in them.
    """

    def __init__(self, path: Path, plain_bytes: int):
        """Opens the file.

        Args:
          path: the gzip file, of one or several members.
          plain_bytes: about as many as it holds when decompressed; places the checkpoints.
        """
        self._file = path.open("rb")
        self._spacing = max(_CLOSEST, plain_bytes // _CHECKPOINTS)
        start = _Position(0, 0, zlib.decompressobj(wbits=31))
        self._checkpoints = [start]
        self._now = start.copy()
        self._last = b""

    def read(self, offset: int, size: int) -> bytes:
        """Decompressed bytes.

        Returns:
          `size` bytes, or fewer at the end of the file.

        Raises:
          zlib.error, EOFError: the file is damaged or truncated.
        """
        parts: list[bytes] = []
        last_start = self._now.plain - len(self._last)
        if last_start <= offset < self._now.plain:
            part = self._last[offset - last_start : offset - last_start + size]
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        elif not self._nearest_is_current(offset):
            at = bisect.bisect(self._checkpoints, offset, key=lambda position: position.plain) - 1
            self._now = self._checkpoints[at].copy()
            self._last = b""
        while size > 0:
            start = self._now.plain
            self._last = data = self._next()
            if not data:
                break
            part = data[max(0, offset - start) : max(0, offset + size - start)]
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _nearest_is_current(self, offset: int) -> bool:
        last = self._checkpoints[-1].plain
        return self._now.plain <= offset and (
            offset - self._now.plain < self._spacing or self._now.plain >= last
        )

    def _next(self) -> bytes:
        """The next decompressed bytes, none at the end of the file."""
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
