"""The work of one process: some images of a source, written at their place in every level."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfrecords_tools.format import encode_records, level_name, record_layout
from tfrecords_tools.levels import make_levels, resolutions
from tfrecords_tools.sources.base import BadImageError, Source

# Pixels of a chunk at full resolution: small enough that memory stays small (a worker holds about
# ten times as much), and that Ctrl-C is obeyed soon; large enough to hide NumPy's overhead.
_CHUNK_BYTES = 4 << 20
_CHUNK_IMAGES = 512
_COPY_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Images that are converted together.

    Attributes:
      start: number of the first one in the pyramid.
      indices: their numbers in the source.
    """

    start: int
    indices: np.ndarray


@dataclasses.dataclass(frozen=True)
class Written:
    """What became of a chunk: `count` images were written from record `start` on, the rest skipped.

    Attributes:
      start: number of the first one in the pyramid.
      count: how many were written, without a gap.
      skipped: the bad images' numbers in the source, names and reasons.
    """

    start: int
    count: int
    skipped: tuple[tuple[int, str, str], ...]


@dataclasses.dataclass(frozen=True)
class ChunkWriter:
    """Converts chunks. Records of a level have one length, so each chunk knows where it belongs.

    Attributes:
      source: the images.
      directory: holds the levels' files, made by `allocate`.
      name: what the files' names begin with.
      skip_bad_images: whether to leave bad images out, rather than to raise.
    """

    source: Source
    directory: Path
    name: str
    skip_bad_images: bool

    def __call__(self, chunk: Chunk) -> Written:
        """Writes a chunk.

        Raises:
          BadImageError: an image is bad, and bad images are not to be skipped.
        """
        images, skipped = [], []
        for index in chunk.indices:
            try:
                images.append(self.source.load(int(index)))
            except BadImageError as error:
                if not self.skip_bad_images:
                    raise
                skipped.append((int(index), error.name, error.reason))
        if images:
            for level in make_levels(np.stack(images)):
                self._write(chunk.start, level)
        return Written(chunk.start, len(images), tuple(skipped))

    def _write(self, start: int, level: np.ndarray) -> None:
        records = encode_records(level)
        path = self.directory / level_name(self.name, level.shape[-1])
        with _opened(path, os.O_WRONLY) as descriptor:
            _write_at(descriptor, records.reshape(-1).data, start * records.shape[1])


def chunks(order: np.ndarray, image_bytes: int, num_workers: int) -> Iterator[Chunk]:
    """Cuts a pyramid into chunks.

    Args:
      order: numbers in the source of the pyramid's images, in the pyramid's order.
      image_bytes: of one image at full resolution.
      num_workers: how many are to share the work.
    """
    fair = -(-len(order) // (4 * num_workers))
    size = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes, fair))
    for start in range(0, len(order), size):
        yield Chunk(start, order[start : start + size])


def level_bytes(count: int, channels: int, resolution: int) -> dict[int, int]:
    """Size of each level's file, by resolution."""
    return {
        side: count * record_layout(channels, side).record_bytes for side in resolutions(resolution)
    }


def allocate(directory: Path, name: str, sizes: dict[int, int]) -> None:
    """Makes the levels' files, of their final size, for `ChunkWriter` to fill in any order."""
    for side, size in sizes.items():
        with (directory / level_name(name, side)).open("wb") as file:
            file.truncate(size)


def close_gaps(path: Path, record_bytes: int, parts: Sequence[Written]) -> None:
    """Moves records together where skipped images have left gaps, and cuts the file to its length.

    Args:
      path: a level's file.
      record_bytes: the length of its records.
      parts: all of its parts, in order.
    """
    end = 0
    with _opened(path, os.O_RDWR) as descriptor:
        for part in parts:
            start, size = part.start * record_bytes, part.count * record_bytes
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
