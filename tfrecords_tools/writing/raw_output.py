"""The files of a raw pyramid: records of one length, written in place by any process."""

import contextlib
import dataclasses
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from tfrecords_tools.format import record_layout
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.writing.conversion import Chunk, Converter, WrittenChunk, encode
from tfrecords_tools.writing.layout import Layout

# Read at once when records are moved, and when they are verified.
_COPY_BYTES = 16 << 20
_VERIFY_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class RawOutput:
    """The files of a raw pyramid, filled in any order.

    Attributes:
      directory: holds the files.
      layout: says which.
    """

    directory: Path
    layout: Layout

    def prepare(self, done: Sequence[WrittenChunk]) -> list[WrittenChunk]:
        """Create the files at their final size; after an interruption, verify them.

        Returns:
          The chunks of `done` whose records are intact.
        """
        for resolution, shard, path in self._files():
            first, last = self.layout.bounds(shard)
            with path.open("ab") as file:
                file.truncate((last - first) * self.layout.record_bytes(resolution))
        resolutions = self.layout.resolutions
        return [chunk for chunk in done if all(self._holds(chunk, level) for level in resolutions)]

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[WrittenChunk, None, None]:
        """Convert and write chunks; yield each once it is written, in any order."""
        write = ChunkWriter(self.directory, self.layout, converter)
        with closing(run_unordered(write, chunks, num_workers, converter.memory)) as results:
            yield from results

    def finish(self, chunks: Sequence[WrittenChunk]) -> None:
        """Close the gaps that skipped images have left.

        Args:
          chunks: all chunks, in order.
        """
        for resolution, shard, path in self._files():
            first, _ = self.layout.bounds(shard)
            in_shard = [chunk for chunk in chunks if chunk.shard == shard]
            if any(chunk.skipped for chunk in in_shard):
                runs = [(chunk.start - first, chunk.count) for chunk in in_shard]
                _close_gaps(path, self.layout.record_bytes(resolution), runs)

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        for resolution in self.layout.resolutions:
            for shard, name in enumerate(self.layout.file_names(resolution)):
                yield resolution, shard, self.directory / name

    def _holds(self, chunk: WrittenChunk, resolution: int) -> bool:
        """Return True if all records of a chunk are intact at one level."""
        records = record_layout(self.layout.image(resolution))
        path = self.directory / self.layout.file_names(resolution)[chunk.shard]
        first = chunk.start - self.layout.bounds(chunk.shard)[0]
        head = np.frombuffer(records.head, np.uint8)
        step = max(1, _VERIFY_BYTES // records.record_bytes)
        for start in range(first, first + chunk.count, step):
            count = min(step, first + chunk.count - start)
            found = np.fromfile(path, records.dtype, count, offset=start * records.record_bytes)
            sums = records.checksums(np.ascontiguousarray(found["pixels"]))
            if not ((found["head"] == head).all() and (found["crc"] == sums).all()):
                return False
        return True


@dataclasses.dataclass(frozen=True)
class ChunkWriter:
    """Function that converts a chunk and writes it in place. Sent to each worker.

    Attributes:
      directory: holds the files that `RawOutput.prepare` created.
      layout: says which.
      converter: loads the images.
    """

    directory: Path
    layout: Layout
    converter: Converter

    def __call__(self, chunk: Chunk) -> WrittenChunk:
        """Convert and write a chunk."""
        written, levels = self.converter.levels(chunk)
        first, _ = self.layout.bounds(chunk.shard)
        for resolution, level in levels:
            path = self.directory / self.layout.file_names(resolution)[chunk.shard]
            records, _ = encode(level, "raw")
            with _opened(path, os.O_WRONLY) as descriptor:
                offset = (chunk.start - first) * self.layout.record_bytes(resolution)
                _write_at(descriptor, memoryview(records), offset)
        return written


def _close_gaps(path: Path, record_bytes: int, runs: Sequence[tuple[int, int]]) -> None:
    """Move records together where skipped images have left gaps, and shorten the file.

    Args:
      path: a file of a level.
      record_bytes: the length of its records.
      runs: number of the first record, and number of records, of each run without a gap, in order.
    """
    end = 0
    with _opened(path, os.O_RDWR) as descriptor:
        for first, count in runs:
            start, size = first * record_bytes, count * record_bytes
            if start != end:
                _move(descriptor, start, end, size)
            end += size
        os.ftruncate(descriptor, end)


def _move(descriptor: int, source: int, target: int, size: int) -> None:
    """Copy within a file towards its beginning, front first, so that overlaps do no harm."""
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
        # Errors of calls with a descriptor lack the file's name.
        error.filename = error.filename or str(path)
        raise
    finally:
        os.close(descriptor)
