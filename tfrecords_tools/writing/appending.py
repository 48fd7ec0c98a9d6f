"""Records written one after the other: where each begins is known only when those before are."""

import dataclasses
import struct
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.names import index_path
from tfrecords_tools.format.png_file import INDEX_DTYPE, PngFile
from tfrecords_tools.parallel import run_ordered
from tfrecords_tools.writing.conversion import Chunk, Converter, Written, encode
from tfrecords_tools.writing.layout import Layout

_OFFSET_BYTES = np.dtype(INDEX_DTYPE).itemsize


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A chunk's records, by resolution: the bytes, and [k] int64 the records' lengths."""

    written: Written
    levels: dict[int, tuple[bytes, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Converts chunks to records. Sent to each worker.

    Attributes:
      encoding: "raw" or "png".
      converter: loads the images.
    """

    encoding: str
    converter: Converter

    def __call__(self, chunk: Chunk) -> Encoded:
        """The records of a chunk."""
        written, levels = self.converter.levels(chunk)
        encoded = {}
        for level in levels:
            records, lengths = encode(level, self.encoding)
            encoded[level.shape[-1]] = (bytes(records), lengths)
        return Encoded(written, encoded)


class ShardAppender:
    """A shard's files at all levels, open at their ends. A context manager."""

    def __init__(self, paths: dict[int, Path], indexed: bool, done: int = 0):
        """Opens the files.

        Args:
          paths: the shard's file of each level, by resolution.
          indexed: whether each has an index.
          done: number of records to keep of what is there, which needs an index; 0 begins anew.
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
                    self._ends[side] = _cut_index(index, done)
                file.truncate(self._ends[side])
            self._stack = stack.pop_all()

    def __enter__(self) -> "ShardAppender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self._stack.close()

    def append(self, encoded: Encoded) -> None:
        """Writes a chunk's records, and hands them to the operating system."""
        for side, (records, lengths) in encoded.levels.items():
            self._files[side].write(records)
            self._files[side].flush()
            if side in self._indices:
                offsets = self._ends[side] + np.cumsum(lengths)
                self._indices[side].write(offsets.astype(INDEX_DTYPE).tobytes())
                self._indices[side].flush()
            self._ends[side] += len(records)


def _cut_index(index: BinaryIO, done: int) -> int:
    """Cuts an index to its first `done` records, or begins it; returns where their records end."""
    end = 0
    if done:
        index.seek(done * _OFFSET_BYTES)
        (end,) = struct.unpack("<Q", index.read(_OFFSET_BYTES))
        index.truncate((done + 1) * _OFFSET_BYTES)
    else:
        index.truncate(0)
        index.write(struct.pack("<Q", 0))
        index.flush()
    return end


@dataclasses.dataclass(frozen=True)
class AppendedOutput:
    """The files of a PNG pyramid, written in the images' order.

    Attributes:
      directory: holds the files.
      layout: says which.
    """

    directory: Path
    layout: Layout

    def prepare(self, done: Sequence[Written]) -> list[Written]:
        """Makes the files; or after an interruption looks at what they hold, and cuts off the rest.

        Returns:
          The parts of `done` that are really there, up to the first that is not.
        """
        kept: list[Written] = []
        counts = [0] * self.layout.shards
        files: tuple[int, list[PngFile]] = (-1, [])
        for part in done:
            if part.shard != files[0]:
                files = part.shard, self._unfinished(part.shard)
            first = counts[part.shard]
            expected = kept[-1].stop if kept else 0
            if part.start != expected or not _hold(files[1], first, first + part.count):
                break
            kept.append(part)
            counts[part.shard] += part.count
        for shard in range(self.layout.shards):
            self._open(shard, counts[shard]).close()
        return kept

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[Written, None, None]:
        """Converts and writes chunks, and says of each what was written, in order."""
        encode_chunk = Encoder(self.layout.encoding, converter)
        opened: tuple[int, ShardAppender] | None = None
        with (
            closing(run_ordered(encode_chunk, chunks, num_workers)) as results,
            ExitStack() as stack,
        ):
            for encoded in results:
                shard = encoded.written.shard
                if opened is None or opened[0] != shard:
                    stack.close()
                    opened = shard, stack.enter_context(self._open(shard, None))
                opened[1].append(encoded)
                yield encoded.written

    def finish(self, parts: Sequence[Written]) -> None:
        """Nothing is left to do: skipped images have left no gaps."""

    def _open(self, shard: int, done: int | None) -> ShardAppender:
        """Opens a shard, to keep its first `done` records, or all that it has."""
        paths = self._paths(shard)
        if done is None:
            size = index_path(paths[self.layout.resolution]).stat().st_size
            done = size // _OFFSET_BYTES - 1
        return ShardAppender(paths, indexed=True, done=done)

    def _paths(self, shard: int) -> dict[int, Path]:
        return {
            side: self.directory / self.layout.file_names(side)[shard] for side in self.layout.sides
        }

    def _unfinished(self, shard: int) -> list[PngFile]:
        """A shard's files as an interruption left them; none if one of them is missing."""
        channels = self.layout.channels
        try:
            return [
                PngFile(path, channels, side, unfinished=True)
                for side, path in self._paths(shard).items()
            ]
        except (UserError, OSError):
            return []


def _hold(files: Sequence[PngFile], start: int, stop: int) -> bool:
    """Whether the records `start`..`stop` - 1 of all files, and there are files, are intact."""
    try:
        for file in files:
            if file.count < stop:
                return False
            for record in range(start, stop):
                file.example(record)
    except UserError:
        return False
    return bool(files)
