"""Files of one shard, to which records are appended."""

import struct
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfrecords_tools.format.names import index_path
from tfrecords_tools.format.png_file import INDEX_DTYPE
from tfrecords_tools.writing.conversion import EncodedChunk

_OFFSET_BYTES = np.dtype(INDEX_DTYPE).itemsize


class ShardAppender:
    """A shard's files of all levels, open at their ends. A context manager."""

    def __init__(self, paths: dict[int, Path], indexed: bool, num_kept: int = 0):
        """Open the files, and cut off all records after the first `num_kept`.

        Args:
          paths: the shard's file of each level, by resolution.
          indexed: write an index beside each file.
          num_kept: number of records to keep; more than 0 only if there is an index.
        """
        self._files: dict[int, BinaryIO] = {}
        self._indices: dict[int, BinaryIO] = {}
        self._ends: dict[int, int] = {}
        with ExitStack() as stack:
            for side, path in paths.items():
                self._files[side] = file = stack.enter_context(path.open("ab"))
                self._ends[side] = 0
                if indexed:
                    self._indices[side] = index = stack.enter_context(index_path(path).open("a+b"))
                    self._ends[side] = _cut_index(index, num_kept)
                file.truncate(self._ends[side])
            self._stack = stack.pop_all()

    def __enter__(self) -> "ShardAppender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def append(self, encoded: EncodedChunk) -> None:
        """Write a chunk's records, and hand them to the operating system."""
        for side, (records, lengths) in encoded.levels.items():
            self._files[side].write(records)
            self._files[side].flush()
            if side in self._indices:
                offsets = self._ends[side] + np.cumsum(lengths)
                self._indices[side].write(offsets.astype(INDEX_DTYPE).tobytes())
                self._indices[side].flush()
            self._ends[side] += len(records)


def count_indexed_records(path: Path) -> int:
    """Return the number of records in a file's index."""
    return index_path(path).stat().st_size // _OFFSET_BYTES - 1


def _cut_index(index: BinaryIO, num_kept: int) -> int:
    """Cut an index to its first `num_kept` records, or begin it; return where these end."""
    end = 0
    if num_kept:
        index.seek(num_kept * _OFFSET_BYTES)
        (end,) = struct.unpack("<Q", index.read(_OFFSET_BYTES))
        index.truncate((num_kept + 1) * _OFFSET_BYTES)
    else:
        index.truncate(0)
        index.write(struct.pack("<Q", 0))
        index.flush()
    return end
