"""The same conversion as an Apache Beam pipeline, for more than one machine: `--runner=beam`.

A shard is the unit of work: one worker writes all its levels, under names of its own, and renames
them when they are whole. So a shard may be tried again, or twice at once, as Beam does at will, and
the output may be on any file system that all workers share.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import uuid
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from types import ModuleType

from tfrecords_tools.appending import Encoder, ShardAppender
from tfrecords_tools.conversion import Chunk, Converter, Written
from tfrecords_tools.errors import UserError
from tfrecords_tools.format.names import index_path
from tfrecords_tools.layout import Layout
from tfrecords_tools.sources.base import BadImageError
from tfrecords_tools.staging import sync

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
        by_shard: dict[int, list[Chunk]] = {}
        for chunk in chunks:
            by_shard.setdefault(chunk.shard, []).append(chunk)
        if by_shard:
            write = ShardWriter(self.directory, self.layout, converter)
            try:
                run_pipeline(write, list(by_shard.values()), self.options)
            except Exception:
                self._raise_bad_image()
                raise
        for shard in by_shard:
            yield _read_note(_note_path(self.directory, shard))

    def finish(self, parts: Sequence[Written]) -> None:
        """Removes the workers' notes."""
        for shard in range(self.layout.shards):
            _note_path(self.directory, shard).unlink(missing_ok=True)

    def _is_whole(self, part: Written) -> bool:
        paths = shard_paths(self.directory, self.layout, part.shard).values()
        whole = (part.start, part.stop) == self.layout.bounds(part.shard)
        return whole and all(path.exists() for path in paths)

    def _raise_bad_image(self) -> None:
        """Raises the error of a bad image as it was, out of what the runner has wrapped it in."""
        for path in self.directory.glob(f"bad-image-*{_UNFINISHED}"):
            with contextlib.suppress(ValueError):
                name, reason = json.loads(path.read_text())
                raise BadImageError(name, reason)


@dataclasses.dataclass(frozen=True)
class ShardWriter:
    """Writes a whole shard. Sent to each worker.

    Attributes:
      directory: where to.
      layout: says which files.
      converter: loads the images.
    """

    directory: Path
    layout: Layout
    converter: Converter

    def __call__(self, chunks: list[Chunk]) -> int:
        """Writes the shard that consists of these chunks; returns its number of images."""
        shard = chunks[0].shard
        finished = shard_paths(self.directory, self.layout, shard)
        suffix = f".{uuid.uuid4().hex}{_UNFINISHED}"
        unfinished = {side: path.with_name(path.name + suffix) for side, path in finished.items()}
        indexed = self.layout.encoding == "png"
        encode = Encoder(self.layout.encoding, self.converter)
        parts = []
        try:
            with ShardAppender(unfinished, indexed) as files:
                for chunk in chunks:
                    encoded = encode(chunk)
                    files.append(encoded)
                    parts.append(encoded.written)
            for side, path in finished.items():
                if indexed:
                    _move(index_path(unfinished[side]), index_path(path))
                _move(unfinished[side], path)
        except BaseException as error:
            for path in unfinished.values():
                for remains in (path, index_path(path)):
                    remains.unlink(missing_ok=True)
            if isinstance(error, BadImageError):
                note = self.directory / f"bad-image-{shard}{_UNFINISHED}"
                note.write_text(json.dumps([error.name, error.reason]))
            raise
        count = sum(part.count for part in parts)
        skipped = [bad for part in parts for bad in part.skipped]
        note = self.directory / f"note-{shard}{suffix}"
        note.write_text(json.dumps([shard, chunks[0].start, count, skipped]))
        _move(note, _note_path(self.directory, shard))
        return count


def run_pipeline(write: ShardWriter, shards: list[list[Chunk]], options: Sequence[str]) -> None:
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
    module = importlib.import_module("apache_beam.options.pipeline_options")
    if not any(option.split("=")[0] == "--runner" for option in options):
        # In this process. Beam's own default may first look for a program on the net.
        options = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", *options]
    try:
        parsed = module.PipelineOptions(list(options))
        known = parsed.get_all_options(retain_unknown_options=False)
        every = parsed.get_all_options(retain_unknown_options=True)
    except SystemExit as error:
        raise UserError(f"--beam_options: Beam refuses them. Received: {options}") from error
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
        return importlib.import_module("apache_beam")
    except ImportError as error:
        raise UserError(
            "--runner=beam needs Apache Beam, which is not installed: pip install 'pgan_tf[beam]'"
        ) from error


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
