"""From images of a source to records of every level: the work of one process."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from tfrecords_tools.format import encode_records
from tfrecords_tools.format.png_file import encode_png_records
from tfrecords_tools.sources.base import BadImageError, Source
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.levels import make_levels

# Pixels of a chunk at full resolution: small enough that memory stays small (a worker holds about
# ten times as much), and that Ctrl-C is obeyed soon; large enough to hide NumPy's overhead.
_CHUNK_BYTES = 4 << 20
_CHUNK_IMAGES = 512


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Images that are converted together.

    Attributes:
      shard: the shard they belong to.
      start: number of the first one in the pyramid.
      indices: their numbers in the source.
    """

    shard: int
    start: int
    indices: np.ndarray


@dataclasses.dataclass(frozen=True)
class Written:
    """What became of a chunk: `count` images were written from record `start` on, the rest skipped.

    Attributes:
      shard: the shard they belong to.
      start: number of the first one in the pyramid.
      count: how many were written, without a gap.
      skipped: the bad images' numbers in the source, names and reasons.
    """

    shard: int
    start: int
    count: int
    skipped: tuple[tuple[int, str, str], ...]

    @property
    def stop(self) -> int:
        """Number of the image after the chunk's last."""
        return self.start + self.count + len(self.skipped)


@dataclasses.dataclass(frozen=True)
class Converter:
    """Loads chunks.

    Attributes:
      source: the images.
      skip_bad_images: whether to leave bad images out, rather than to raise.
    """

    source: Source
    skip_bad_images: bool

    def levels(self, chunk: Chunk) -> tuple[Written, Iterator[np.ndarray]]:
        """What of a chunk is to be written, and its levels, [k C h w] uint8, largest first.

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
        written = Written(chunk.shard, chunk.start, len(images), tuple(skipped))
        if not images:
            return written, iter(())
        return written, make_levels(images[0][None] if len(images) == 1 else np.stack(images))


def encode(level: np.ndarray, encoding: str) -> tuple[memoryview | bytes, np.ndarray]:
    """A level's images as records.

    Args:
      level: [k C h w] uint8.
      encoding: "raw" or "png".

    Returns:
      The records, one after the other, and [k] int64 their lengths.
    """
    if encoding == "png":
        records = encode_png_records(level)
        return b"".join(records), np.array([len(record) for record in records], np.int64)
    raw = encode_records(level)
    return raw.reshape(-1).data, np.full(len(raw), raw.shape[1], np.int64)


def chunk_size(layout: Layout) -> int:
    """How many images of a pyramid are best converted together."""
    image_bytes = layout.channels * layout.resolution**2
    return max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes))


def chunks(
    order: np.ndarray, layout: Layout, done: Iterable[Written], num_workers: int
) -> Iterator[Chunk]:
    """Cuts what is not done of a pyramid into chunks, in order, none of them in two shards.

    Args:
      order: numbers in the source of the pyramid's images, in the pyramid's order.
      layout: the pyramid's files.
      done: parts that are written, in order.
      num_workers: how many are to share the work.
    """
    fair = -(-len(order) // (4 * num_workers))
    size = min(chunk_size(layout), fair)
    finished = [(part.start, part.stop) for part in done]
    at = 0
    for shard in range(layout.shards):
        first, last = layout.bounds(shard)
        edges = [first]
        while at < len(finished) and finished[at][1] <= last:
            edges.extend(finished[at])
            at += 1
        edges.append(last)
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            for begin in range(start, stop, size):
                end = min(begin + size, stop)
                yield Chunk(shard, begin, order[begin:end])
