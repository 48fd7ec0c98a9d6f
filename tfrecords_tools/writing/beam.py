"""The same conversion as an Apache Beam pipeline, for more than one machine: `--runner=beam`.

A shard is the unit of work: one worker writes all its levels, under names of its own, and renames
them when they are whole. So a shard may be tried again, or twice at once, as Beam does at will, and
the output may be on any file system that all workers share.
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
from tfrecords_tools.sources.base import BadImageError
from tfrecords_tools.writing.appending import Encoder, ShardAppender
from tfrecords_tools.writing.conversion import Chunk, Converter, Written, chunk_size
from tfrecords_tools.writing.layout import Layout

_UNFINISHED = ".unfinished"


@dataclasses.dataclass(frozen=True)
class BeamOutput:
    """The files of a pyramid, written by a pipeline.

    Attributes:
      directory: holds the files; every worker must reach it by this path.
      layout: says which.
      options: of the pipeline, as `--name=value`. Without `--runner` it runs in this process.
    """

    directory: Path
    layout: Layout
    options: tuple[str, ...]

    def prepare(self, done: Sequence[Written]) -> list[Written]:
        """Removes what interrupted workers left; returns the shards that are whole."""
        for path in self.directory.glob(f"*{_UNFINISHED}"):
            path.unlink()
        shards = {part.shard: part for part in done}
        for shard in range(self.layout.shards):
            path = _note_path(self.directory, shard)
            if path.exists():
                shards[shard] = _read_note(path)
        return [shards[shard] for shard in sorted(shards) if self._is_whole(shards[shard])]

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[Written, None, None]:
        """Runs the pipeline. The number of workers is for the pipeline's options to say."""
        shards = [
            _joined(list(group))
            for _, group in itertools.groupby(chunks, key=lambda chunk: chunk.shard)
        ]
        if shards:
            size = chunk_size(self.layout)
            run_pipeline(
                ShardWriter(self.directory, self.layout, converter, size), shards, self.options
            )
        for shard in [whole.shard for whole in shards]:
            path = _note_path(self.directory, shard)
            if path.exists():
                yield _read_note(path)
        for path in bad_image_notes(self.directory):
            name, reason = json.loads(path.read_text())
            raise BadImageError(name, reason)

    def finish(self, parts: Sequence[Written]) -> None:
        """Removes the workers' notes."""
        for shard in range(self.layout.shards):
            _note_path(self.directory, shard).unlink(missing_ok=True)

    def _is_whole(self, part: Written) -> bool:
        paths = shard_paths(self.directory, self.layout, part.shard).values()
        whole = (part.start, part.stop) == self.layout.bounds(part.shard)
        return whole and all(path.exists() for path in paths)


@dataclasses.dataclass(frozen=True)
class ShardWriter:
    """Writes a whole shard. Sent to each worker.

    Attributes:
      directory: where to.
      layout: says which files.
      converter: loads the images.
      size: how many it converts together.
    """

    directory: Path
    layout: Layout
    converter: Converter
    size: int

    def __call__(self, whole: Chunk) -> None:
        """Writes a shard, given as one chunk, and a note that it is whole.

        A bad image is noted, not raised: the runner would try again, and then show its own error.
        """
        if bad_image_notes(self.directory):
            return
        shard = whole.shard
        finished = shard_paths(self.directory, self.layout, shard)
        suffix = f".{uuid.uuid4().hex}{_UNFINISHED}"
        unfinished = {side: path.with_name(path.name + suffix) for side, path in finished.items()}
        try:
            parts = self._write(whole, unfinished)
            for side, path in finished.items():
                if self.layout.encoding == "png":
                    _move(index_path(unfinished[side]), index_path(path))
                _move(unfinished[side], path)
            count = sum(part.count for part in parts)
            skipped = [bad for part in parts for bad in part.skipped]
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

    def _write(self, whole: Chunk, paths: dict[int, Path]) -> list[Written]:
        encode = Encoder(self.layout.encoding, self.converter)
        parts = []
        with ShardAppender(paths, indexed=self.layout.encoding == "png") as files:
            for start in range(0, len(whole.indices), self.size):
                indices = whole.indices[start : start + self.size]
                encoded = encode(Chunk(whole.shard, whole.start + start, indices))
                files.append(encoded)
                parts.append(encoded.written)
        return parts


def run_pipeline(write: ShardWriter, shards: list[Chunk], options: Sequence[str]) -> None:
    """Runs `write` on every shard, on the runner that the options name."""
    beam = import_beam()
    with beam.Pipeline(options=pipeline_options(options)) as pipeline:
        # Spread anew, or a runner might take creating and writing all shards for one step.
        spread = pipeline | "Shards" >> beam.Create(shards) | beam.Reshuffle()
        spread | "Write" >> beam.Map(write)


def pipeline_options(options: Sequence[str]) -> object:
    """Beam's options of `--name=value` arguments.

    Raises:
      UserError: Beam refuses them, or does not know one.
    """
    import_beam()
    options_module = importlib.import_module("apache_beam.options.pipeline_options")
    runner_module = importlib.import_module("apache_beam.runners.runner")
    if not any(option.split("=")[0] == "--runner" for option in options):
        # In this process. Beam's own default may first look for a program on the net.
        options = ["--runner=FnApiRunner", *options]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), _quietly():
            parsed = options_module.PipelineOptions(list(options))
            known = parsed.get_all_options(retain_unknown_options=False)
            every = parsed.get_all_options(retain_unknown_options=True)
            runner_module.create_runner(known["runner"])
    except SystemExit as error:  # argparse, whose last line says why
        *_, why = said.getvalue().splitlines() or [""]
        raise UserError(f"--beam_options: {why.rpartition('error: ')[2]}") from error
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--beam_options: {error}") from error
    unknown = sorted(set(every) - set(known))
    if unknown:
        raise UserError(f"--beam_options: must be options of Apache Beam. Received: --{unknown[0]}")
    return parsed


def import_beam() -> ModuleType:
    """Apache Beam.

    Raises:
      UserError: it is not installed.
    """
    try:
        with _quietly():
            return importlib.import_module("apache_beam")
    except ImportError as error:
        raise UserError(
            "--runner=beam needs Apache Beam, which is not installed: pip install 'pgan_tf[beam]'"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps Beam's warnings about optional libraries, and such, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _joined(chunks: list[Chunk]) -> Chunk:
    """A shard's chunks as one, which takes less memory."""
    return Chunk(
        chunks[0].shard, chunks[0].start, np.concatenate([chunk.indices for chunk in chunks])
    )


def bad_image_notes(directory: Path) -> list[Path]:
    """What workers have noted about bad images that end the run, by shard."""
    return sorted(directory.glob(f"bad-image-*{_UNFINISHED}"))


def shard_paths(directory: Path, layout: Layout, shard: int) -> dict[int, Path]:
    """A shard's file of each level, by resolution."""
    return {side: directory / layout.file_names(side)[shard] for side in layout.sides}


def _note_path(directory: Path, shard: int) -> Path:
    """Where a worker notes that a shard is whole."""
    return directory / f"shard-{shard:05d}.done"


def _read_note(path: Path) -> Written:
    shard, start, count, skipped = json.loads(path.read_text())
    return Written(shard, start, count, tuple(tuple(bad) for bad in skipped))


def _move(path: Path, target: Path) -> None:
    sync(path)
    os.replace(path, target)
