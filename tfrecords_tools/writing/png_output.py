"""The files of a PNG pyramid: records of different lengths, written in the images' order.

Where a record begins is known only when all records before it are encoded, so workers encode chunks
and this process appends them to the files.
"""

import dataclasses
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from tfrecords_tools.format.png_file import PartialPngFile
from tfrecords_tools.parallel import run_ordered
from tfrecords_tools.writing.conversion import Chunk, ChunkEncoder, Converter, WrittenChunk
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.shard_appender import ShardAppender, count_indexed_records


@dataclasses.dataclass(frozen=True)
class PngOutput:
    """The files of a PNG pyramid.

    Attributes:
      directory: holds the files.
      layout: says which.
    """

    directory: Path
    layout: Layout

    def prepare(self, done: Sequence[WrittenChunk]) -> list[WrittenChunk]:
        """Create the files; after an interruption, verify them and cut off unverified records.

        Returns:
          The chunks of `done` whose records are intact, up to the first whose are not.
        """
        intact: list[WrittenChunk] = []
        num_kept = [0] * self.layout.shards
        opened: tuple[int, list[PartialPngFile]] = (-1, [])
        for chunk in done:
            if chunk.shard != opened[0]:
                opened = chunk.shard, self._open_unfinished(chunk.shard)
            first = num_kept[chunk.shard]
            expected = intact[-1].stop if intact else 0
            if chunk.start != expected or not _hold(opened[1], first, first + chunk.count):
                break
            intact.append(chunk)
            num_kept[chunk.shard] += chunk.count
        for shard in range(self.layout.shards):
            self._open_to_append(shard, num_kept[shard]).close()
        return intact

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[WrittenChunk, None, None]:
        """Convert and write chunks; yield each once it is written, in order."""
        encode_chunk = ChunkEncoder(self.layout.encoding, converter)
        opened: tuple[int, ShardAppender] | None = None
        with (
            closing(run_ordered(encode_chunk, chunks, num_workers, converter.memory)) as results,
            ExitStack() as stack,
        ):
            for encoded in results:
                shard = encoded.written.shard
                if opened is None or opened[0] != shard:
                    stack.close()
                    opened = shard, stack.enter_context(self._open_to_append(shard, None))
                opened[1].append(encoded)
                yield encoded.written

    def finish(self, chunks: Sequence[WrittenChunk]) -> None:
        """Do nothing: skipped images leave no gaps in appended files."""

    def _open_to_append(self, shard: int, num_kept: int | None) -> ShardAppender:
        """Open a shard, keeping its first `num_kept` records, or all of them."""
        paths = self._paths(shard)
        if num_kept is None:
            num_kept = count_indexed_records(paths[self.layout.resolution])
        return ShardAppender(paths, indexed=True, num_kept=num_kept)

    def _paths(self, shard: int) -> dict[int, Path]:
        return self.layout.shard_paths(self.directory, shard)

    def _open_unfinished(self, shard: int) -> list[PartialPngFile]:
        """Open a shard's files as an interruption left them; none if one of them is missing."""
        try:
            return [PartialPngFile(path) for path in self._paths(shard).values()]
        except OSError:
            return []


def _hold(files: Sequence[PartialPngFile], start: int, stop: int) -> bool:
    """Return True if there are files and all hold records `start`..`stop` - 1 intact."""
    return bool(files) and all(file.holds(start, stop) for file in files)
