"""The writer of pyramids: from a source of images to a finished directory."""

import dataclasses
import errno
import functools
import itertools
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import JOURNAL_NAME, check_output, staged_directory, user_path
from tfrecords_tools.format import MANIFEST_NAME, labels_name, sha256_of, write_manifest
from tfrecords_tools.format.manifest import manifest_text
from tfrecords_tools.image_files.reasons import common_reasons
from tfrecords_tools.printable import encodable
from tfrecords_tools.progress import Progress
from tfrecords_tools.sources.base import Source
from tfrecords_tools.writing.beam_output import BeamOutput
from tfrecords_tools.writing.conversion import Chunk, Converter, WrittenChunk, make_chunks
from tfrecords_tools.writing.disk import check_disk
from tfrecords_tools.writing.journal import Journal, has_identity, identity_of
from tfrecords_tools.writing.layout import Layout
from tfrecords_tools.writing.png_output import PngOutput
from tfrecords_tools.writing.raw_output import RawOutput

# The seed with which the original implementation shuffles.
SHUFFLE_SEED = 123


@dataclasses.dataclass(frozen=True)
class WriteOptions:
    """Options of writing a pyramid from any source.

    Attributes:
      shuffle: shuffle as the original does, instead of keeping the source's order.
      num_images: number of images to take, in the pyramid's order; None for all.
      num_workers: processes that convert images.
      skip_bad_images: leave bad images out, instead of stopping at the first.
      overwrite: replace an existing pyramid.
      encoding: "raw", which the original reads, or "png".
      shards: number of files of each level.
      resume: continue where an interrupted run stopped, and keep what is done if this run is
        interrupted.
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
    """A pyramid after it was written.

    Attributes:
      count: number of images.
      label_size: number of classes, 0 without labels.
      bytes: size on disk, without the manifest.
      seconds: duration of writing.
      skipped: number of bad images that were left out.
      class_counts: number of images of each class; empty without labels.
    """

    count: int
    label_size: int
    bytes: int
    seconds: float
    skipped: int
    class_counts: tuple[int, ...] = ()


class Output(Protocol):
    """The files of a pyramid while they are written."""

    def prepare(self, done: Sequence[WrittenChunk]) -> list[WrittenChunk]:
        """Create the files; after an interruption, verify the chunks that are written.

        Returns:
          The chunks of `done` whose records are intact, in order.
        """
        ...

    def convert(
        self, converter: Converter, chunks: Iterable[Chunk], num_workers: int
    ) -> Generator[WrittenChunk, None, None]:
        """Convert and write chunks; yield each once it is written."""
        ...

    def finish(self, chunks: Sequence[WrittenChunk]) -> None:
        """Complete the files, given all written chunks in order."""
        ...


def check_pyramid_output(output: Path, overwrite: bool) -> None:
    """Refuse an output that exists, or that cannot be created (`files.check_output`).

    Args:
      output: the pyramid's directory, as an absolute path.
      overwrite: accept a pyramid of the same name, which will be replaced.

    Raises:
      UserError: says what is in the way.
    """
    if encodable(output.name) != output.name:
        raise UserError(f"--output={output}: a pyramid's name must be UTF-8")
    check_output(output, overwrite, belongs=_belongs_to_pyramid, content="a pyramid")


def _belongs_to_pyramid(path: Path) -> bool:
    name, own = path.parent.name, (MANIFEST_NAME, JOURNAL_NAME, labels_name(path.parent.name))
    is_level = path.name.startswith(f"{name}-r") and ".tfrecords" in path.name
    return path.is_file() and (is_level or path.name in own)


def write_pyramid(
    source: Source,
    output: str | os.PathLike,
    options: WriteOptions,
    flags: Mapping[str, Any],
    say: Callable[[str], None],
) -> Summary:
    """Write a source's images as a pyramid, named after its directory.

    The bytes depend on the source, `shuffle`, `num_images`, `encoding` and `shards` alone.

    Args:
      source: the images.
      output: the directory to create.
      options: options of writing.
      flags: the user's flags, for the manifest.
      say: called with lines for the user.

    Raises:
      UserError: the output exists, the disk is too small, or an image is bad.
    """
    started = time.monotonic()
    target = Path(os.path.abspath(user_path(output)))
    check_pyramid_output(target, options.overwrite)
    order = pyramid_order(source.count, options)
    layout = _layout(target.name, len(order), source, options)
    known = {"label_names": source.label_names, "source": source.describe(), "flags": dict(flags)}
    manifest_text(known).encode()  # what can't be written fails now, not after hours
    runner = "local" if options.beam is None else "beam"
    identity = identity_of(source, layout, order, options.skip_bad_images, runner)
    resume = (lambda path: has_identity(path, identity)) if options.resume else None
    check = functools.partial(check_pyramid_output, target, options.overwrite)
    with staged_directory(target, resume, check=check) as staging:
        check_disk(target, staging, layout, source, order, say)
        with Journal(staging, identity) as journal:
            try:
                chunks = _convert(source, staging, layout, order, options, journal, say)
            except BaseException as error:
                _explain_interruption(error, target, options.resume, journal, layout, say)
                raise
        skipped = [image for chunk in chunks for image in chunk.skipped]
        order = (
            order[~np.isin(order, [image.source_index for image in skipped])] if skipped else order
        )
        class_counts = _write_labels(source, order, staging / labels_name(target.name))
        files = _describe_files(staging)
        manifest = {
            "count": len(order),
            "resolution": source.resolution,
            **({} if source.base.is_square else {"base": list(source.base)}),
            "channels": source.channels,
            **({} if source.bits == 8 else {"bits": source.bits}),
            "label_size": len(class_counts),
            "label_names": source.label_names and list(source.label_names),
            "encoding": layout.encoding,
            "shards": layout.shards,
            "shuffled": options.shuffle,
            "source": source.describe(),
            "flags": dict(flags),
            "skipped": [{"file": image.name, "reason": image.reason} for image in skipped],
            "files": files,
        }
        write_manifest(staging, manifest)
    return Summary(
        count=len(order),
        label_size=len(class_counts),
        bytes=sum(file["bytes"] for file in files.values()),
        seconds=time.monotonic() - started,
        skipped=len(skipped),
        class_counts=class_counts,
    )


def pyramid_order(count: int, options: WriteOptions) -> np.ndarray:
    """Return the numbers in the source of the pyramid's images, in the pyramid's order, [n] int64.

    Raises:
      UserError: `options.num_images` exceeds `count`.
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
    return Layout(
        name,
        count,
        source.channels,
        source.resolution,
        options.encoding,
        options.shards,
        source.base,
        source.bits,
    )


def _convert(
    source: Source,
    staging: Path,
    layout: Layout,
    order: np.ndarray,
    options: WriteOptions,
    journal: Journal,
    say: Callable[[str], None],
) -> list[WrittenChunk]:
    """Fill the levels' files; return the written chunks, in order."""
    output = _output(staging, layout, options)
    written = output.prepare(journal.done())
    journal.begin_again(written)
    done = _count_done(written)
    if done:
        say(f"Continuing: {done} of {layout.count} images are done")
    converter = Converter(source, options.skip_bad_images)
    tasks = make_chunks(order, layout, written, options.num_workers)
    first = list(itertools.islice(tasks, options.num_workers))  # no more workers than tasks
    # Closing it stops the workers: after Ctrl-C none may write while the directory is removed.
    with (
        Progress(len(order), "images", initial=done) as progress,
        closing(output.convert(converter, itertools.chain(first, tasks), len(first))) as results,
    ):
        for chunk in results:
            journal.add(chunk)
            written.append(chunk)
            progress.update(chunk.stop - chunk.start)
    written.sort(key=lambda chunk: chunk.start)
    skipped = [image for chunk in written for image in chunk.skipped]
    for image in skipped:
        say(f"Skipped {image.name}: {image.reason}")
    if len(skipped) == len(order):
        reasons = common_reasons(image.reason for image in skipped)
        raise UserError(
            f"none of the {len(skipped)} images can be used ({reasons}); the first: "
            f"{skipped[0].name}"
        )
    journal.add_finishing()
    output.finish(written)
    return written


def _output(staging: Path, layout: Layout, options: WriteOptions) -> Output:
    if options.beam is not None:
        return BeamOutput(staging, layout, options.beam)
    if layout.encoding == "png":
        return PngOutput(staging, layout)
    return RawOutput(staging, layout)


def _count_done(chunks: Iterable[WrittenChunk]) -> int:
    """Return the number of images in written chunks, skipped ones included."""
    return sum(chunk.stop - chunk.start for chunk in chunks)


def _explain_interruption(
    error: BaseException,
    target: Path,
    resume: bool,
    journal: Journal,
    layout: Layout,
    say: Callable[[str], None],
) -> None:
    """Tell the user what an interruption leaves; turn a full disk into a UserError."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if resume:
        done = _count_done(journal.done())
        say(f"{done} of {layout.count} images are done and kept: --resume continues")
    if full:
        kept = "free some and run again with --resume" if resume else "nothing is kept"
        raise UserError(f"--output={target}: the disk filled up; {kept}") from error


def _write_labels(source: Source, order: np.ndarray, path: Path) -> tuple[int, ...]:
    """Write the labels in the pyramid's order; return the number of images of each class."""
    labels = source.labels()
    if labels is None:
        return ()
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(labels[order], np.float32))
    return tuple(np.count_nonzero(labels[order] > 0, axis=0).tolist())


def _describe_files(directory: Path) -> dict[str, dict[str, Any]]:
    names = sorted(set(os.listdir(directory)) - {MANIFEST_NAME, JOURNAL_NAME})
    paths = [directory / name for name in names]
    sizes = [path.stat().st_size for path in paths]
    with (
        Progress(sum(sizes), "B", "sums", keep=False) as progress,
        ThreadPoolExecutor() as executor,  # hashlib releases the interpreter's lock
    ):
        sums = executor.map(lambda path: sha256_of(path, progress.update), paths)
        return {
            name: {"bytes": size, "sha256": digest}
            for name, size, digest in zip(names, sizes, sums, strict=True)
        }
