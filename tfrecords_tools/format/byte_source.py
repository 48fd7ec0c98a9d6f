"""The bytes of a pyramid's files, on disk or elsewhere.

The reader asks for them through two protocols, `Directory` and `ByteSource`. Here is the directory
on disk, whose files are mapped into memory (`mapped_file.py`). The trainer has another for URLs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.mapped_file import MappedFile


class ByteSource(Protocol):
    """The bytes of one file. Threads may share it.

    Attributes:
      location: the file's path or URL.
      size: in bytes.
      is_remote: every read is a request over a network, so there should be few.
    """

    location: str
    size: int
    is_remote: bool

    def read(self, start: int, end: int) -> np.ndarray:
        """Read the bytes from `start` up to `end`, or up to the file's end if that comes first.

        Returns:
          [k] uint8; may be read-only.
        """
        ...

    def read_spans(self, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read many parts of the file at once.

        Args:
          spans: [k 2] int64, the begin and the end of each part in the file.

        Returns:
          Bytes [n] uint8 in which all parts are, perhaps among others, and [k 2] int64, the begin
          and the end of each part in those.
        """
        ...

    def require_whole(self) -> None:
        """Refuse a file whose bytes, read before as views, may be gone.

        Called after they were copied as well: those that were gone by then are zeros.

        Raises:
          UserError: it has become shorter, or can't be read.
        """
        ...


class Directory(Protocol):
    """A directory that may hold a pyramid.

    Attributes:
      location: its path or URL.
    """

    location: str

    def list(self) -> set[str]:
        """List the names in the directory.

        Raises:
          UserError: there is no such directory.
        """
        ...

    def open(self, name: str) -> ByteSource:
        """Open a file.

        Raises:
          FileNotFoundError: there is no such file.
        """
        ...


class LocalDirectory:
    """A directory on disk."""

    def __init__(self, path: Path):
        self.location = str(path)
        self._path = path

    def list(self) -> set[str]:
        """List the names in the directory."""
        if not self._path.is_dir():
            problem = "not a directory" if self._path.exists() else "no such directory"
            raise UserError(
                f"{self.location}: {problem}; expected a pyramid of pgan-prepare-tfrecords"
            )
        return {path.name for path in self._path.iterdir()}

    def open(self, name: str) -> MappedFile:
        """Map a file into memory."""
        return MappedFile(self._path / name)


def name_of(source: ByteSource) -> str:
    """Return a file's name within its directory."""
    return source.location.rpartition("/")[2]


def joined(parts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Join parts of a file, as `ByteSource.read_spans` returns them.

    Returns:
      [n] uint8 and [k 2] int64.
    """
    lengths = np.array([len(part) for part in parts], np.int64)
    ends = np.cumsum(lengths)
    return np.frombuffer(b"".join(parts), np.uint8), np.stack([ends - lengths, ends], axis=1)
