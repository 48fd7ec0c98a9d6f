"""Writing a pyramid: from a source of images to a finished directory."""

import dataclasses
import errno
import itertools
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import check_output, staged_directory
from tfrecords_tools.format import MANIFEST_NAME, labels_name, sha256_of, write_manifest
from tfrecords_tools.sources.base import Source
from tfrecords_tools.writing.appending import AppendedOutput
from tfrecords_tools.writing.conversion import Chunk, Converter, Written, chunks
from tfrecords_tools.writing.disk import check_disk, readable_bytes
from tfrecords_tools.writing.journal import JOURNAL_NAME, Journal, has_identity, identity_of
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.placing import PlacedOutput

__all__ = [
    "Summary",
    "WriteOptions",
    "check_pyramid_output",
    "pyramid_order",
    "readable_bytes",
    "write_pyramid",
]

# The seed with which the original implementation shuffles.
SHUFFLE_SEED = 123


@dataclasses.dataclass(frozen=True)
class WriteOptions:
    """How to write a pyramid, whatever its source.

    Attributes:
      shuffle: whether to shuffle as the original does; otherwise the source's order is kept.
      num_images: how many images to take, in the pyramid's order; None for all.
      num_workers: processes that convert.
      skip_bad_images: whether to leave bad images out, rather than to stop at the first.
      overwrite: whether an existing pyramid may be replaced.
      encoding: "raw", as the original reads it, or "png".
      shards: files of each level.
      resume: whether to go on where an interrupted run stopped, and to keep what is done if this
        one is.
      beam: options of the Apache Beam pipeline that does the work; None for this machine.
    """

    shuffle: bool = True
    num_images: int | None = None
    num_workers: int = 1
    skip_bad_images: bool = False
    overwrite: bool = False
    encoding: str = "raw"
    shards: int = 1
    resume: bool = False
    beam: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been written: number of images and of classes, bytes on disk, seconds taken."""

    count: int
    label_size: int
    bytes: int
    seconds: float
    skipped: int


class Output(Protocol):
    """A way to write a pyramid's files."""

    def prepare(self, done: Sequence[Written]) -> list[Written]:
        """Makes the files, or looks after those parts that an interrupted run has written.

        Returns:
          The parts of `done` that are really there, in order.
        """
        ...

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[Written, None, None]:
        """Converts and writes chunks; yields what was written once it is."""
        ...

    def finish(self, parts: Sequence[Written]) -> None:
        """Completes the files, given all parts in order."""
        ...


def check_pyramid_output(output: Path, overwrite: bool) -> None:
    """Refuse an output that exists, or that could not be made (`files.check_output`).

    Args:
      output: the pyramid's directory, as an absolute path.
      overwrite: replace a pyramid of the same name that is there.

    Raises:
      UserError: says what is in the way.
    """
    check_output(output, overwrite, belongs=_belongs_to_pyramid, content="a pyramid")


def _belongs_to_pyramid(file_name: str, name: str) -> bool:
    return file_name in (MANIFEST_NAME, labels_name(name)) or (
        file_name.startswith(f"{name}-r") and ".tfrecords" in file_name
    )


def write_pyramid(
    source: Source,
    output: str | os.PathLike,
    options: WriteOptions,
    flags: Mapping[str, Any],
    say: Callable[[str], None],
) -> Summary:
    """Writes a source's images as a pyramid, named after its directory.

    The bytes depend on the source, `shuffle`, `num_images`, `encoding` and `shards` alone.

    Args:
      source: the images.
      output: the directory to make.
      options: how.
      flags: what the user asked for, for the manifest.
      say: called with lines for the user.

    Raises:
      UserError: the output is in the way or the disk too small; an image is bad.
    """
    started = time.monotonic()
    target = Path(os.path.abspath(output))
    check_pyramid_output(target, options.overwrite)
    order = pyramid_order(source.count, options)
    layout = _layout(target.name, len(order), source, options)
    runner = "local" if options.beam is None else "beam"
    identity = identity_of(source, layout, order, options.skip_bad_images, runner)
    resume = (lambda path: has_identity(path, identity)) if options.resume else None
    with staged_directory(target, resume, journal=JOURNAL_NAME) as staging:
        check_disk(target, staging, layout, source, order, say)
        with Journal(staging, identity) as journal:
            try:
                parts = _convert(source, staging, layout, order, options, journal, say)
            except BaseException as error:
                _explain(error, target, options.resume, journal, layout, say)
                raise
        skipped = [bad for part in parts for bad in part.skipped]
        order = order[~np.isin(order, [index for index, _, _ in skipped])] if skipped else order
        label_size = _write_labels(source, order, staging / labels_name(target.name))
        files = _describe_files(staging)
        manifest = {
            "count": len(order),
            "resolution": source.resolution,
            "channels": source.channels,
            "label_size": label_size,
            "label_names": source.label_names and list(source.label_names),
            "encoding": layout.encoding,
            "shards": layout.shards,
            "shuffled": options.shuffle,
            "source": source.describe(),
            "flags": dict(flags),
            "skipped": [{"file": name, "reason": reason} for _, name, reason in skipped],
            "files": files,
        }
        write_manifest(staging, manifest)
    return Summary(
        count=len(order),
        label_size=label_size,
        bytes=sum(file["bytes"] for file in files.values()),
        seconds=time.monotonic() - started,
        skipped=len(skipped),
    )


def pyramid_order(count: int, options: WriteOptions) -> np.ndarray:
    """Numbers in the source of the pyramid's images, in the pyramid's order, [n] int64.

    Raises:
      UserError: more images are asked for than there are.
    """
    order = np.arange(count)
    if options.shuffle:
        np.random.RandomState(SHUFFLE_SEED).shuffle(order)
    if options.num_images is None:
        return order
    if options.num_images > count:
        raise UserError(
            f"--num_images must be at most {count}, the images there are."
            f" Received: {options.num_images}"
        )
    return order[: options.num_images]


def _layout(name: str, count: int, source: Source, options: WriteOptions) -> Layout:
    if options.shards > count:
        raise UserError(
            f"--shards must be at most {count}, the number of images. Received: {options.shards}"
        )
    return Layout(name, count, source.channels, source.resolution, options.encoding, options.shards)


def _convert(
    source: Source,
    staging: Path,
    layout: Layout,
    order: np.ndarray,
    options: WriteOptions,
    journal: Journal,
    say: Callable[[str], None],
) -> list[Written]:
    """Fills the levels' files; returns what was written where, in order."""
    output = _output(staging, layout, options)
    parts = output.prepare(journal.done())
    journal.begin_again(parts)
    done = sum(part.stop - part.start for part in parts)
    if done:
        say(f"Continuing: {done} of {layout.count} images are done")
    converter = Converter(source, options.skip_bad_images)
    tasks = chunks(order, layout, parts, options.num_workers)
    first = list(itertools.islice(tasks, options.num_workers))  # no more workers than tasks
    # Closed, so that after Ctrl-C no worker writes on while the directory is being removed.
    with (
        tqdm(total=len(order), initial=done, unit=" images", disable=None) as progress,
        closing(output.convert(converter, itertools.chain(first, tasks), len(first))) as results,
    ):
        for part in results:
            journal.add(part)
            parts.append(part)
            progress.update(part.stop - part.start)
    parts.sort(key=lambda part: part.start)
    skipped = [bad for part in parts for bad in part.skipped]
    for _, bad, reason in skipped:
        say(f"Skipped {bad}: {reason}")
    if len(skipped) == len(order):
        raise UserError(f"no image could be read; the first: {skipped[0][1]}: {skipped[0][2]}")
    journal.finishing()
    output.finish(parts)
    return parts


def _output(staging: Path, layout: Layout, options: WriteOptions) -> Output:
    if options.beam is not None:
        from tfrecords_tools.writing.beam import BeamOutput  # an extra, so imported only here

        return BeamOutput(staging, layout, options.beam)
    return (AppendedOutput if layout.encoding == "png" else PlacedOutput)(staging, layout)


def _explain(
    error: BaseException,
    target: Path,
    resume: bool,
    journal: Journal,
    layout: Layout,
    say: Callable[[str], None],
) -> None:
    """Says what an interruption leaves, and makes a full disk a user's error."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if resume:
        done = sum(part.stop - part.start for part in journal.done())
        say(f"{done} of {layout.count} images are done and kept: --resume continues")
    if full:
        kept = "free some and run again with --resume" if resume else "nothing is kept"
        raise UserError(f"--output={target}: the disk filled up; {kept}") from error


def _write_labels(source: Source, order: np.ndarray, path: Path) -> int:
    """Writes the labels in the pyramid's order; returns the number of classes, 0 for no labels."""
    labels = source.labels()
    if labels is None:
        return 0
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(labels[order], np.float32))
    return labels.shape[1]


def _describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    names = sorted(set(os.listdir(directory)) - {MANIFEST_NAME, JOURNAL_NAME})
    paths = [directory / name for name in names]
    sizes = [path.stat().st_size for path in paths]
    with (
        tqdm(
            total=sum(sizes), unit="B", unit_scale=True, desc="sums", disable=None, leave=False
        ) as progress,
        ThreadPoolExecutor() as executor,  # hashlib computes without holding the interpreter
    ):
        sums = executor.map(lambda path: sha256_of(path, progress.update), paths)
        return {
            name: {"bytes": size, "sha256": digest}
            for name, size, digest in zip(names, sizes, sums, strict=True)
        }
