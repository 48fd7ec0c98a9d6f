"""Verification of a pyramid: every byte about which anything is known."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import JOURNAL_NAME, is_system_file
from tfrecords_tools.format import MANIFEST_NAME, Level, open_pyramid, read_manifest, sha256_of
from tfrecords_tools.format.byte_source import ByteSource, LocalDirectory
from tfrecords_tools.format.example import image_type
from tfrecords_tools.format.first_record import find_channels
from tfrecords_tools.format.labels import check_values, parse_labels
from tfrecords_tools.format.level import RecordFile
from tfrecords_tools.format.manifest import is_intact
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.names import find_levels
from tfrecords_tools.format.pyramid import find_base_and_bits, find_encoding, open_file
from tfrecords_tools.inspection.chunks import SentToWorkers, cut_into_chunks, run_with_progress
from tfrecords_tools.progress import Progress
from tfrecords_tools.untrusted.regular_file import MAX_TEXT_BYTES, read_bytes
from tfrecords_tools.writing.levels import make_levels, resolutions


def verify(directory: Path, num_workers: int) -> list[str]:
    """Verify a pyramid.

    Checks its structure; every record's frame, checksum, shape and pixels; that each level is the
    2x2 mean of the unrounded one above; the labels; the manifest, and the sums of all files in it.

    Args:
      directory: the pyramid's.
      num_workers: processes that check records.

    Returns:
      A line for each fault; empty if there is none.

    Raises:
      UserError: there is no pyramid.
    """
    problems: list[str] = []
    names = LocalDirectory(directory).list()
    if not any("tfrecords" in name for name in names):
        find_levels(str(directory), names)  # refuses
    manifest = _check_manifest(directory, problems)
    opened = open_levels(directory)
    problems += opened.problems
    if not problems:
        try:
            open_pyramid(directory)
        except UserError as error:
            problems.append(str(error))
    problems += _check_records(directory, opened.levels, num_workers)
    problems += _check_labels(directory)
    if manifest is not None:
        problems += _check_sums(directory, manifest)
    return list(dict.fromkeys(problems))


@dataclasses.dataclass(frozen=True)
class OpenedLevels:
    """The levels of a pyramid that can be opened.

    Attributes:
      levels: those whose files all open, smallest first.
      resolution: of the full level, which may not be among them; 0 if it is unknown.
      problems: a line for each fault of the others.
    """

    levels: list[Level]
    resolution: int
    problems: list[str]


def open_levels(directory: Path) -> OpenedLevels:
    """Open the levels of a pyramid that can be opened."""
    local = LocalDirectory(directory)
    try:
        names = local.list()
        _, level_files = find_levels(local.location, names)
    except UserError as error:
        return OpenedLevels([], 0, [str(error)])
    try:
        manifest = read_manifest(directory)
    except UserError:
        manifest = None  # reported by `_check_manifest`
    opened = OpenedLevels([], 1 << max(level_files), [])
    encoding = find_encoding(manifest, names, level_files)
    base, bits = find_base_and_bits(manifest, local, level_files)
    for log2 in sorted(level_files):
        files = list[RecordFile]()
        sources = [local.open(name) for name in level_files[log2]]
        size = base.size_at(1 << log2)
        channels = (
            manifest["channels"] if manifest else _find_channels(sources, size, bits, encoding)
        )
        image = image_type(channels, base, 1 << log2, bits)
        for source in sources:
            try:
                may_be_empty = len(sources) > 1
                files.append(open_file(local, source, image, encoding, may_be_empty))
            except UserError as error:
                opened.problems.append(str(error))
        if len(files) == len(sources):
            opened.levels.append(Level(1 << log2, image, tuple(files)))
    return opened


@dataclasses.dataclass(frozen=True)
class RecordChecker(SentToWorkers):
    """Checks images at all levels.

    Attributes:
      directory: the pyramid's.
    """

    directory: Path

    @functools.cached_property
    def _opened(self) -> OpenedLevels:
        return open_levels(self.directory)

    def __call__(self, chunk: tuple[int, int]) -> tuple[int, list[str]]:
        """Check the images start..stop - 1; return how many, and a line for each fault."""
        start, stop = chunk
        problems: list[str] = []
        pixels: dict[int, dict[int, np.ndarray]] = {}
        levels = self._opened.levels
        for level in levels:
            indices = np.arange(start, min(stop, level.count))
            pixels[level.resolution] = _read_each(level, indices, problems)
        if levels[-1].resolution == self._opened.resolution:
            for index, image in pixels[self._opened.resolution].items():
                problems += self._compare_levels(index, image, pixels)
        return stop - start, problems

    def _compare_levels(
        self, index: int, image: np.ndarray, pixels: dict[int, dict[int, np.ndarray]]
    ) -> Iterator[str]:
        """Compare an image's levels with the means of its full size."""
        *lower, full = self._opened.levels
        means = dict(zip(resolutions(full.resolution), make_levels(image[None]), strict=True))
        for level in lower:
            found, expected = pixels[level.resolution].get(index), means[level.resolution][0]
            if found is None or np.array_equal(found, expected):
                continue
            file, record = level.locate(index)
            difference = np.abs(found.astype(np.int64) - expected).max()
            yield (
                f"{file.source.location}: record {record} is not the 2x2 mean of the same image in"
                f" {full.locate(index)[0].path.name}: differs by up to {difference}"
            )


def _read_each(level: Level, indices: np.ndarray, problems: list[str]) -> dict[int, np.ndarray]:
    """Read images by number; leave out damaged ones, and report them in `problems`."""
    if not len(indices):
        return {}
    try:
        return dict(zip(indices.tolist(), level.read(indices), strict=True))
    except UserError as error:
        if len(indices) == 1:
            problems.append(str(error))
            return {}
    half = len(indices) // 2
    first = _read_each(level, indices[:half], problems)
    return first | _read_each(level, indices[half:], problems)


def _check_records(directory: Path, levels: list[Level], num_workers: int) -> Iterator[str]:
    count = max((level.count for level in levels), default=0)
    if not count:
        return
    tasks = cut_into_chunks(count, levels[-1].image_bytes)
    check = RecordChecker(directory)
    for problems in run_with_progress(check, tasks, num_workers, count, "records"):
        yield from problems


def _check_manifest(directory: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        manifest = read_manifest(directory)
    except UserError as error:
        problems.append(str(error))
        return None
    path = directory / MANIFEST_NAME
    if manifest is not None and is_intact(read_bytes(path, MAX_TEXT_BYTES)) is None:
        problems.append(f"{path}: does not end with a checksum of itself: edited, or damaged")
    return manifest


def _check_labels(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*-rxx.labels")):
        try:
            check_values(str(path), parse_labels(str(path), MappedFile(path).data))
        except UserError as error:
            yield str(error)


def _check_sums(directory: Path, manifest: dict[str, Any]) -> Iterator[str]:
    stated = manifest["files"]
    names = {name for name in os.listdir(directory) if not is_system_file(name)}
    for name in sorted(names - set(stated) - {MANIFEST_NAME, JOURNAL_NAME}):
        yield f"{directory / name}: not one of the pyramid's files, by its {MANIFEST_NAME}"
    present = []
    for name in stated:
        path = directory / Path(name).name
        if not path.is_file():
            yield f"{path}: missing; {MANIFEST_NAME} lists it"
        elif path.stat().st_size != stated[name].get("bytes"):
            yield (
                f"{path}: truncated or damaged: its size must be {stated[name].get('bytes')} bytes"
                f" by {MANIFEST_NAME}. Received: {path.stat().st_size} bytes"
            )
        else:
            present.append(path)
    total = sum(path.stat().st_size for path in present)
    with (
        Progress(total, "B", "sums") as progress,
        ThreadPoolExecutor() as executor,  # hashlib computes without the interpreter's lock
    ):
        sums = executor.map(lambda path: sha256_of(path, progress.update), present)
        for path, found in zip(present, sums, strict=True):
            if found != stated[path.name].get("sha256"):
                yield f"{path}: damaged: its SHA-256 is not the one in {MANIFEST_NAME}"


def _find_channels(
    sources: Sequence[ByteSource], size: tuple[int, int], bits: int, encoding: str
) -> int:
    """Return the channels of a level, or 3 if none of its files has them; then opening fails."""
    for source in sources:
        try:
            return find_channels(source, size, bits, encoding)
        except UserError:
            continue
    return 3
