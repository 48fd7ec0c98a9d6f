"""Whether a pyramid is whole: every byte of it that something is known about."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import MANIFEST_NAME, Level, open_pyramid, read_manifest, sha256_of
from tfrecords_tools.format.byte_source import ByteSource, LocalDirectory
from tfrecords_tools.format.first_record import find_channels
from tfrecords_tools.format.labels import parse_labels
from tfrecords_tools.format.level import RecordFile
from tfrecords_tools.format.manifest import is_intact
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.names import find_levels
from tfrecords_tools.format.pyramid import find_encoding, open_file
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.writing.levels import make_levels

_CHUNK_BYTES = 8 << 20
_CHUNK_IMAGES = 1024
_LABEL_ROWS = 1 << 16


def verify(directory: Path, num_workers: int) -> list[str]:
    """Checks a pyramid.

    Its structure; every record's frame, checksum, shape and pixels; that each level is the 2x2 mean
    of the unrounded one above; labels; the manifest, and the sums of all files in it.

    Args:
      directory: where it is.
      num_workers: processes that check records.

    Returns:
      What is wrong, a line for each fault; empty if nothing is.

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
    """What can be opened of a pyramid.

    Attributes:
      levels: those whose files all open, smallest first.
      resolution: of the full level, which may not be among them; 0 if that is not known.
      problems: what is wrong with the others.
    """

    levels: list[Level]
    resolution: int
    problems: list[str]


def open_levels(directory: Path) -> OpenedLevels:
    """Opens what can be opened of a pyramid."""
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
    for log2 in sorted(level_files):
        side, files = 1 << log2, list[RecordFile]()
        sources = [local.open(name) for name in level_files[log2]]
        channels = manifest["channels"] if manifest else _find_channels(sources, side, encoding)
        for source in sources:
            try:
                may_be_empty = len(sources) > 1
                files.append(open_file(local, source, channels, side, encoding, may_be_empty))
            except UserError as error:
                opened.problems.append(str(error))
        if len(files) == len(sources):
            opened.levels.append(Level(side, channels, tuple(files)))
    return opened


@dataclasses.dataclass(frozen=True)
class RecordChecker:
    """Checks images at all levels. Sent to each worker, which opens the pyramid for itself."""

    directory: Path

    @functools.cached_property
    def _opened(self) -> OpenedLevels:
        return open_levels(self.directory)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves open files out."""
        return {"directory": self.directory}

    def __call__(self, part: tuple[int, int]) -> tuple[int, list[str]]:
        """Checks the images start..stop - 1; returns how many, and what is wrong."""
        start, stop = part
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
        """Compares an image's levels with those that its full size gives."""
        *lower, full = self._opened.levels
        means = {mean.shape[-1]: mean[0] for mean in make_levels(image[None])}
        for level in lower:
            found, expected = pixels[level.resolution].get(index), means[level.resolution]
            if found is None or np.array_equal(found, expected):
                continue
            file, record = level.locate(index)
            difference = np.abs(found.astype(np.int64) - expected).max()
            yield (
                f"{file.source.location}: record {record} is not the 2x2 mean of the same image in"
                f" {full.locate(index)[0].path.name}: differs by up to {difference}"
            )


def _read_each(level: Level, indices: np.ndarray, problems: list[str]) -> dict[int, np.ndarray]:
    """Images by number, without damaged ones, about which it says so."""
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
    image_bytes = levels[-1].channels * levels[-1].resolution ** 2
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes))
    tasks = [(start, min(start + step, count)) for start in range(0, count, step)]
    # A process takes longer to start than a few chunks to check.
    workers = min(num_workers, len(tasks) // 4)
    with (
        tqdm(total=count, unit=" images", desc="records", disable=None) as progress,
        closing(run_unordered(RecordChecker(directory), tasks, workers)) as results,
    ):
        for number, found in results:
            progress.update(number)
            yield from found


def _check_manifest(directory: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        manifest = read_manifest(directory)
    except UserError as error:
        problems.append(str(error))
        return None
    path = directory / MANIFEST_NAME
    if manifest is not None and is_intact(path.read_bytes()) is None:
        problems.append(f"{path}: does not end with a checksum of itself: edited, or damaged")
    return manifest


def _check_labels(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*-rxx.labels")):
        try:
            labels = parse_labels(str(path), MappedFile(path).data)
        except UserError as error:
            yield str(error)
            continue
        for start in range(0, len(labels), _LABEL_ROWS):
            bad = np.argwhere(~np.isfinite(labels[start : start + _LABEL_ROWS]))
            if len(bad):
                yield f"{path}: row {start + int(bad[0][0])} holds a number that is not finite"
                break


def _check_sums(directory: Path, manifest: dict[str, Any]) -> Iterator[str]:
    stated = manifest["files"]
    for name in sorted(set(os.listdir(directory)) - set(stated) - {MANIFEST_NAME}):
        yield f"{directory / name}: not one of the pyramid's files, by its {MANIFEST_NAME}"
    there = []
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
            there.append(path)
    total = sum(path.stat().st_size for path in there)
    with (
        tqdm(total=total, unit="B", unit_scale=True, desc="sums", disable=None) as progress,
        ThreadPoolExecutor() as executor,  # hashlib computes without holding the interpreter
    ):
        sums = executor.map(lambda path: sha256_of(path, progress.update), there)
        for path, found in zip(there, sums, strict=True):
            if found != stated[path.name].get("sha256"):
                yield f"{path}: damaged: its SHA-256 is not the one in {MANIFEST_NAME}"


def _find_channels(sources: Sequence[ByteSource], side: int, encoding: str) -> int:
    """Return the channels of a level, or 3 if none of its files has them; then opening fails."""
    for source in sources:
        try:
            return find_channels(source, side, encoding)
        except UserError:
            continue
    return 3
