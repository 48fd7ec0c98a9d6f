"""Raw records written at their place: they have one length, so any process may write any chunk."""

import contextlib
import dataclasses
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from tfrecords_tools.format import record_layout
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.writing.conversion import Chunk, Converter, Written, encode
from tfrecords_tools.writing.layout import Layout

_COPY_BYTES = 16 << 20
_CHECKED_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class PlacedOutput:
    """The files of a raw pyramid, filled in any order.

    Attributes:
      directory: holds the files.
      layout: says which.
    """

    directory: Path
    layout: Layout

    def prepare(self, done: Sequence[Written]) -> list[Written]:
        """Makes the files, of their final size; or after an interruption looks at what they hold.

        Returns:
          The parts of `done` that are really there.
        """
        for side, shard, path in self._files():
            first, last = self.layout.bounds(shard)
            with path.open("ab") as file:
                file.truncate((last - first) * self.layout.record_bytes(side))
        return [part for part in done if all(self._holds(part, side) for side in self.layout.sides)]

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[Written, None, None]:
        """Converts and writes chunks, and says of each what was written, as they finish."""
        write = PlacedWriter(self.directory, self.layout, converter)
        with closing(run_unordered(write, chunks, num_workers)) as results:
            yield from results

    def finish(self, parts: Sequence[Written]) -> None:
        """Closes the gaps that skipped images have left.

        Args:
          parts: all parts, in order.
        """
        for side, shard, path in self._files():
            first, _ = self.layout.bounds(shard)
            here = [part for part in parts if part.shard == shard]
            if any(part.skipped for part in here):
                record_bytes = self.layout.record_bytes(side)
                _close_gaps(path, record_bytes, [(part.start - first, part.count) for part in here])

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        for side in self.layout.sides:
            for shard, name in enumerate(self.layout.file_names(side)):
                yield side, shard, self.directory / name

    def _holds(self, part: Written, side: int) -> bool:
        """Whether all records of a part are intact at one level."""
        records = record_layout(self.layout.channels, side)
        path = self.directory / self.layout.file_names(side)[part.shard]
        first = part.start - self.layout.bounds(part.shard)[0]
        head = np.frombuffer(records.head, np.uint8)
        step = max(1, _CHECKED_BYTES // records.record_bytes)
        for start in range(first, first + part.count, step):
            count = min(step, first + part.count - start)
            found = np.fromfile(path, records.dtype, count, offset=start * records.record_bytes)
            sums = records.checksums(np.ascontiguousarray(found["pixels"]))
            if not ((found["head"] == head).all() and (found["crc"] == sums).all()):
                return False
        return True


@dataclasses.dataclass(frozen=True)
class PlacedWriter:
    """Converts chunks and writes them at their place. Sent to each worker.

    Attributes:
      directory: holds the files, made by `PlacedOutput.prepare`.
      layout: says which.
      converter: loads the images.
    """

    directory: Path
    layout: Layout
    converter: Converter

    def __call__(self, chunk: Chunk) -> Written:
        """Writes a chunk."""
        written, levels = self.converter.levels(chunk)
        first, _ = self.layout.bounds(chunk.shard)
        for level in levels:
            side = level.shape[-1]
            path = self.directory / self.layout.file_names(side)[chunk.shard]
            records, _ = encode(level, "raw")
            with _opened(path, os.O_WRONLY) as descriptor:
                offset = (chunk.start - first) * self.layout.record_bytes(side)
                _write_at(descriptor, memoryview(records), offset)
        return written


def _close_gaps(path: Path, record_bytes: int, parts: Sequence[tuple[int, int]]) -> None:
    """Moves records together where skipped images have left gaps, and cuts the file to its length.

    Args:
      path: a file of a level.
      record_bytes: the length of its records.
      parts: number of the first record, and number of records, of all of its parts, in order.
    """
    end = 0
    with _opened(path, os.O_RDWR) as descriptor:
        for first, count in parts:
            start, size = first * record_bytes, count * record_bytes
            if start != end:
                _move(descriptor, start, end, size)
            end += size
        os.ftruncate(descriptor, end)


def _move(descriptor: int, source: int, target: int, size: int) -> None:
    """Copies within a file towards its beginning, front first, so that overlaps do no harm."""
    for done in range(0, size, _COPY_BYTES):
        block = os.pread(descriptor, min(_COPY_BYTES, size - done), source + done)
        _write_at(descriptor, memoryview(block), target + done)


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


@contextlib.contextmanager
def _opened(path: Path, mode: int) -> Iterator[int]:
    descriptor = os.open(path, mode)
    try:
        yield descriptor
    except OSError as error:
        # What fails on a descriptor does not know the file's name.
        error.filename = error.filename or str(path)
        raise
    finally:
        os.close(descriptor)
