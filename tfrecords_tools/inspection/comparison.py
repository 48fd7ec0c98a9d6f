"""Two pyramids, compared image by image."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfrecords_tools.format import Pyramid, open_pyramid
from tfrecords_tools.inspection.chunks import SentToWorkers, cut_into_chunks, run_with_progress
from tfrecords_tools.inspection.sheet import draw_sheet, make_opaque

_LABEL_ROWS = 1 << 16


@dataclasses.dataclass
class LevelDifference:
    """The difference between the images of one resolution.

    Attributes:
      resolution: of the level.
      compared: number of images.
      differing: numbers of those that are not equal, in order.
      largest: largest absolute difference of two values.
      total: sum of absolute differences.
    """

    resolution: int
    compared: int = 0
    differing: list[int] = dataclasses.field(default_factory=list)
    largest: int = 0
    total: int = 0

    def add(self, other: "LevelDifference") -> None:
        """Add the difference between other images."""
        self.compared += other.compared
        self.differing += other.differing
        self.largest = max(self.largest, other.largest)
        self.total += other.total


def describe_kinds(first: Pyramid, second: Pyramid) -> Iterator[str]:
    """Describe the differences apart from pixels, a line each."""
    for name in ("count", "channels", "bits", "size_text", "label_size", "label_names"):
        values = getattr(first, name), getattr(second, name)
        if values[0] != values[1]:
            yield f"{name.removesuffix('_text')}: {values[0]} and {values[1]}"
    rows = _differing_labels(first.labels, second.labels)
    if len(rows):
        yield f"labels: {len(rows)} images differ: {listed(rows)}"


def compare_levels(
    first: Pyramid, second: Pyramid, resolutions: list[int], num_workers: int
) -> list[LevelDifference]:
    """Compare the images that both pyramids have, level by level.

    Args:
      first: a pyramid.
      second: one with the same channels, bits and base.
      resolutions: levels that both have.
      num_workers: processes that compare.
    """
    count = min(first.count, second.count)
    tasks = [
        (resolution, start, stop)
        for resolution in resolutions
        for start, stop in cut_into_chunks(count, first.level(resolution).image_bytes)
    ]
    compare = ImageComparer(first.directory, second.directory)
    differences = {resolution: LevelDifference(resolution) for resolution in resolutions}
    for found in run_with_progress(compare, tasks, num_workers, count * len(resolutions)):
        differences[found.resolution].add(found)
    for difference in differences.values():
        difference.differing.sort()
    return list(differences.values())


def draw_differences(
    first: Pyramid, second: Pyramid, resolution: int, indices: list[int]
) -> Image.Image:
    """Draw a row for each image: from the first pyramid, the second, the absolute difference.

    The difference of a color is drawn as that of alpha where that is larger.
    """
    chosen = np.array(indices, np.int64)
    images = [pyramid.level(resolution).read(chosen) for pyramid in (first, second)]
    difference = np.abs(images[0].astype(np.int32) - images[1]).astype(images[0].dtype)
    if first.has_alpha:
        difference = np.maximum(difference[:, :-1], difference[:, -1:])
    shown = [make_opaque(each) for each in (*images, difference)]
    rows = np.stack(shown, axis=1).reshape(-1, *shown[0].shape[1:])
    captions = [
        f"{index} {name}" for index in indices for name in ("first", "second", "difference")
    ]
    return draw_sheet(rows, captions, columns=3)


def listed(numbers: Any, limit: int = 10) -> str:
    """Return the first of some numbers as text."""
    text = ", ".join(str(number) for number in numbers[:limit])
    return text + (f" and {len(numbers) - limit} more" if len(numbers) > limit else "")


@dataclasses.dataclass(frozen=True)
class ImageComparer(SentToWorkers):
    """Compares images of one level.

    Attributes:
      first: a pyramid's directory.
      second: another's.
    """

    first: Path
    second: Path

    @functools.cached_property
    def _opened(self) -> tuple[Pyramid, Pyramid]:
        return open_pyramid(self.first), open_pyramid(self.second)

    def __call__(self, chunk: tuple[int, int, int]) -> tuple[int, LevelDifference]:
        """Compare the images start..stop - 1 of a resolution; return their number too."""
        resolution, start, stop = chunk
        indices = np.arange(start, stop)
        first, second = (pyramid.level(resolution).read(indices) for pyramid in self._opened)
        difference = LevelDifference(resolution, stop - start)
        unequal = np.flatnonzero((first != second).any(axis=(1, 2, 3)))
        if len(unequal):
            absolute = np.abs(first[unequal].astype(np.int32) - second[unequal])
            difference.differing = (start + unequal).tolist()
            difference.largest = int(absolute.max())
            difference.total = int(absolute.sum(dtype=np.int64))
        return stop - start, difference


def _differing_labels(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray:
    """Return the numbers of the images whose labels differ; none where labels can't be compared."""
    if first is None or second is None or first.shape[1] != second.shape[1]:
        return np.empty(0, np.int64)
    count = min(len(first), len(second))
    found = []
    for start in range(0, count, _LABEL_ROWS):
        rows = slice(start, min(start + _LABEL_ROWS, count))
        found.append(start + np.flatnonzero((first[rows] != second[rows]).any(axis=1)))
    return np.concatenate(found)
