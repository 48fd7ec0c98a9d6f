"""The files of a pyramid, written by an Apache Beam pipeline on several machines: `--runner=beam`.

A task is a whole shard: one worker writes its files of all levels under temporary names, and
renames them when they are complete. So Beam may retry a shard, or run it twice at once, and the
output may be on any file system that all workers share.
"""

import contextlib
import dataclasses
import importlib
import io
import itertools
import json
import logging
import os
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import sync
from tfrecords_tools.format.names import index_path
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.progress import working
from tfrecords_tools.untrusted.json_file import parse_json
from tfrecords_tools.untrusted.regular_file import read_text
from tfrecords_tools.writing.conversion import (
    Chunk,
    ChunkEncoder,
    Converter,
    SkippedImage,
    WrittenChunk,
    chunk_size,
)
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.shard_appender import ShardAppender

_UNFINISHED = ".unfinished"


@dataclasses.dataclass(frozen=True)
class BeamOutput:
    """The files of a pyramid, written by a pipeline. Its written chunks are whole shards.

    Attributes:
      directory: holds the files; has the same path on all workers.
      layout: says which.
      options: the pipeline's options, as `--name=value`. Without `--runner` among them the pipeline
        runs in this process.
    """

    directory: Path
    layout: Layout
    options: tuple[str, ...]

    def prepare(self, done: Sequence[WrittenChunk]) -> list[WrittenChunk]:
        """Remove the temporary files of interrupted workers; return the complete shards."""
        for path in self.directory.glob(f"*{_UNFINISHED}"):
            path.unlink()
        shards = {written.shard: written for written in done}
        for shard in range(self.layout.shards):
            path = _note_path(self.directory, shard)
            if path.exists():
                shards[shard] = _read_note(path)
        return [shards[shard] for shard in sorted(shards) if self._is_complete(shards[shard])]

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[WrittenChunk, None, None]:
        """Run the pipeline, whose options decide the number of workers; yield the shards."""
        shards = [
            _join(list(group))
            for _, group in itertools.groupby(chunks, key=lambda chunk: chunk.shard)
        ]
        if shards:
            size = chunk_size(self.layout)
            writer = ShardWriter(self.directory, self.layout, converter, size)
            with working("Beam", self._status):
                run_pipeline(writer, shards, self.options)
        for shard in [chunk.shard for chunk in shards]:
            path = _note_path(self.directory, shard)
            if path.exists():
                yield _read_note(path)
        for path in bad_image_notes(self.directory):
            name, reason = parse_json(read_text(path), str(path))
            raise BadImageError(name, reason)

    def _status(self) -> str:
        numbers = range(self.layout.shards)
        done = sum(_note_path(self.directory, shard).exists() for shard in numbers)
        return f"{done} of {self.layout.shards} shards"

    def finish(self, chunks: Sequence[WrittenChunk]) -> None:
        """Remove the workers' notes."""
        for shard in range(self.layout.shards):
            _note_path(self.directory, shard).unlink(missing_ok=True)

    def _is_complete(self, written: WrittenChunk) -> bool:
        paths = self.layout.shard_paths(self.directory, written.shard).values()
        whole = (written.start, written.stop) == self.layout.bounds(written.shard)
        return whole and all(path.exists() for path in paths)


@dataclasses.dataclass(frozen=True)
class ShardWriter:
    """Function that writes a whole shard. Sent to each worker.

    Attributes:
      directory: holds the files.
      layout: says which.
      converter: loads the images.
      chunk_images: number of images that are converted together.
    """

    directory: Path
    layout: Layout
    converter: Converter
    chunk_images: int

    def __call__(self, whole: Chunk) -> None:
        """Write a shard, given as one chunk, and a note that it is complete.

        A bad image is noted, not raised: the runner would retry, and then show its own error.
        """
        if bad_image_notes(self.directory):
            return
        shard = whole.shard
        finished = self.layout.shard_paths(self.directory, shard)
        suffix = f".{uuid.uuid4().hex}{_UNFINISHED}"
        unfinished = {side: path.with_name(path.name + suffix) for side, path in finished.items()}
        try:
            chunks = self._write(whole, unfinished)
            for side, path in finished.items():
                if self.layout.encoding == "png":
                    _move(index_path(unfinished[side]), index_path(path))
                _move(unfinished[side], path)
            count = sum(chunk.count for chunk in chunks)
            skipped = [image for chunk in chunks for image in chunk.skipped]
            note = self.directory / f"shard-{shard:05d}{suffix}"
            note.write_text(json.dumps([shard, whole.start, count, skipped]))
            _move(note, _note_path(self.directory, shard))
        except BadImageError as error:
            note = self.directory / f"bad-image-{shard:05d}{suffix}"
            note.write_text(json.dumps([error.name, error.reason]))
        finally:
            for path in unfinished.values():
                for remains in (path, index_path(path)):
                    remains.unlink(missing_ok=True)

    def _write(self, whole: Chunk, paths: dict[int, Path]) -> list[WrittenChunk]:
        encode_chunk = ChunkEncoder(self.layout.encoding, self.converter)
        written = []
        with ShardAppender(paths, indexed=self.layout.encoding == "png") as files:
            for start in range(0, len(whole.indices), self.chunk_images):
                indices = whole.indices[start : start + self.chunk_images]
                encoded = encode_chunk(Chunk(whole.shard, whole.start + start, indices))
                files.append(encoded)
                written.append(encoded.written)
        return written


def run_pipeline(write: ShardWriter, shards: list[Chunk], options: Sequence[str]) -> None:
    """Run `write` on every shard, with the runner that the options name."""
    beam = import_beam()
    with beam.Pipeline(options=pipeline_options(options)) as pipeline:
        # Without Reshuffle a runner might fuse creating and writing all shards into one task.
        spread = pipeline | "Shards" >> beam.Create(shards) | beam.Reshuffle()
        spread | "Write" >> beam.Map(write)


def pipeline_options(options: Sequence[str]) -> object:
    """Parse `--name=value` arguments as Beam's options.

    Raises:
      UserError: Beam refuses one of them or does not know it, or is not installed.
    """
    import_beam()
    options_module = importlib.import_module("apache_beam.options.pipeline_options")
    runner_module = importlib.import_module("apache_beam.runners.runner")
    if not any(option.split("=")[0] == "--runner" for option in options):
        # In this process. Beam's own default may first look for a program on the network.
        options = ["--runner=FnApiRunner", *options]
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), _quiet():
            parsed = options_module.PipelineOptions(list(options))
            known = parsed.get_all_options(retain_unknown_options=False)
            every = parsed.get_all_options(retain_unknown_options=True)
            runner_module.create_runner(known["runner"])
    except SystemExit as error:  # from argparse, whose last line gives the reason
        *_, reason = errors.getvalue().splitlines() or [""]
        raise UserError(f"--beam_options: {reason.rpartition('error: ')[2]}") from error
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--beam_options: {error}") from error
    unknown = sorted(set(every) - set(known))
    if unknown:
        raise UserError(f"--beam_options: must be options of Apache Beam. Received: --{unknown[0]}")
    return parsed


def import_beam() -> ModuleType:
    """Import Apache Beam.

    Raises:
      UserError: it is not installed.
    """
    try:
        with _quiet():
            return importlib.import_module("apache_beam")
    except ImportError as error:
        raise UserError(
            "--runner=beam needs Apache Beam, which is not installed: pip install 'pgan_tf[beam]'"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Beam's warnings, such as those about optional libraries."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _join(chunks: list[Chunk]) -> Chunk:
    """Return a shard's chunks as one, which takes less memory."""
    return Chunk(
        chunks[0].shard, chunks[0].start, np.concatenate([chunk.indices for chunk in chunks])
    )


def bad_image_notes(directory: Path) -> list[Path]:
    """Return the workers' notes about bad images that end the run, by shard."""
    return sorted(directory.glob(f"bad-image-*{_UNFINISHED}"))


def _note_path(directory: Path, shard: int) -> Path:
    """Return the path of a worker's note that a shard is complete."""
    return directory / f"shard-{shard:05d}.done"


def _read_note(path: Path) -> WrittenChunk:
    shard, start, count, skipped = parse_json(read_text(path), str(path))
    return WrittenChunk(shard, start, count, tuple(SkippedImage(*image) for image in skipped))


def _move(path: Path, target: Path) -> None:
    sync(path)
    os.replace(path, target)
