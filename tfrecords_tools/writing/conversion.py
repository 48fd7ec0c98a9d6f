"""From images of a source to records of every level: the work of one process."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tfrecords_tools.format import encode_records
from tfrecords_tools.format.png_file import encode_png_records
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.parallel import WORKER_BYTES
from tfrecords_tools.sources.base import Source
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.levels import make_levels, resolutions

# Bytes of a chunk's pixels at full resolution: few, so that memory stays small (a worker holds
# about ten times as much) and Ctrl-C is obeyed soon; enough to hide NumPy's overhead.
_CHUNK_BYTES = 4 << 20
_CHUNK_IMAGES = 512
# Memory that a worker takes for each pixel of an image at full resolution, at most, on its way to
# records.
_CONVERTING_BYTES = 64


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Images of one shard that are converted together.

    Attributes:
      shard: the shard's number.
      start: number in the pyramid of the chunk's first image, counting bad images.
      indices: [n] int64, the images' numbers in the source.
    """

    shard: int
    start: int
    indices: np.ndarray


class SkippedImage(NamedTuple):
    """A bad image that was left out.

    Attributes:
      source_index: its number in the source.
      name: its file, or the words by which the user can find it.
      reason: why it cannot be used.
    """

    source_index: int
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class WrittenChunk:
    """A chunk after it was written, without its bad images.

    Attributes:
      shard: the shard's number.
      start: number in the pyramid of the chunk's first image, counting bad images.
      count: number of images written, from record `start` on without a gap.
      skipped: the bad images.
    """

    shard: int
    start: int
    count: int
    skipped: tuple[SkippedImage, ...]

    @property
    def stop(self) -> int:
        """Number in the pyramid of the image after the chunk's last."""
        return self.start + self.count + len(self.skipped)


@dataclasses.dataclass(frozen=True)
class Converter:
    """Converter of chunks to images of every level.

    Attributes:
      source: the images.
      skip_bad_images: leave bad images out, instead of raising their errors.
    """

    source: Source
    skip_bad_images: bool

    @property
    def memory(self) -> int:
        """Bytes that a worker may take: enough for the largest image that its source decodes."""
        policy: ImagePolicy | None = getattr(self.source, "policy", None)
        decoded = 0 if policy is None else policy.decoding_memory
        height, width = self.source.base.size_at(self.source.resolution)
        return WORKER_BYTES + decoded + _CONVERTING_BYTES * height * width

    def levels(self, chunk: Chunk) -> tuple[WrittenChunk, Iterator[tuple[int, np.ndarray]]]:
        """Load a chunk.

        Returns:
          The chunk as it will be written, and its levels, largest first: the resolution, and
          images [k C h w].

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
                skipped.append(SkippedImage(int(index), error.name, error.reason))
        written = WrittenChunk(chunk.shard, chunk.start, len(images), tuple(skipped))
        if not images:
            return written, iter(())
        stacked = images[0][None] if len(images) == 1 else np.stack(images)
        return written, zip(resolutions(self.source.resolution), make_levels(stacked), strict=True)


@dataclasses.dataclass(frozen=True)
class EncodedChunk:
    """A chunk's records in memory.

    Attributes:
      written: the chunk as it will be written.
      levels: by resolution, the records one after the other, and their lengths [k] int64.
    """

    written: WrittenChunk
    levels: dict[int, tuple[bytes, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class ChunkEncoder:
    """Function from chunks to their records. Sent to each worker.

    Attributes:
      encoding: "raw" or "png".
      converter: loads the images.
    """

    encoding: str
    converter: Converter

    def __call__(self, chunk: Chunk) -> EncodedChunk:
        """Load and encode a chunk."""
        written, levels = self.converter.levels(chunk)
        encoded = {}
        for resolution, level in levels:
            records, lengths = encode(level, self.encoding)
            encoded[resolution] = (bytes(records), lengths)
        return EncodedChunk(written, encoded)


def encode(level: np.ndarray, encoding: str) -> tuple[memoryview | bytes, np.ndarray]:
    """Encode images as records.

    Args:
      level: [k C h w] uint8 or uint16.
      encoding: "raw" or "png".

    Returns:
      The records, one after the other, and their lengths [k] int64.
    """
    if encoding == "png":
        records = encode_png_records(level)
        return b"".join(records), np.array([len(record) for record in records], np.int64)
    raw = encode_records(level)
    return raw.reshape(-1).data, np.full(len(raw), raw.shape[1], np.int64)


def chunk_size(layout: Layout) -> int:
    """Return the number of images of a pyramid that are best converted together."""
    image_bytes = layout.image(layout.resolution).nbytes
    return max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes))


def make_chunks(
    order: np.ndarray, layout: Layout, done: Iterable[WrittenChunk], num_workers: int
) -> Iterator[Chunk]:
    """Cut the unfinished images of a pyramid into chunks, in order, each within one shard.

    Args:
      order: [n] int64, numbers in the source of the pyramid's images, in the pyramid's order.
      layout: the pyramid's files.
      done: chunks that are written, in order.
      num_workers: number of workers that share the work.
    """
    fair = -(-len(order) // (4 * num_workers))
    size = min(chunk_size(layout), fair)
    finished = [(chunk.start, chunk.stop) for chunk in done]
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
