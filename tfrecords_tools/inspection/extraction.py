"""Images of a pyramid as PNG files, with their labels."""

import csv
import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import staged_directory
from tfrecords_tools.format import Pyramid, open_pyramid
from tfrecords_tools.inspection.selection import class_name
from tfrecords_tools.inspection.sheet import to_picture
from tfrecords_tools.parallel import run_unordered

LABELS_NAME = "labels.csv"
_CHUNK_BYTES = 4 << 20
_CHUNK_IMAGES = 256


def extract(
    pyramid: Pyramid,
    indices: np.ndarray,
    resolution: int,
    output: Path,
    labels: str,
    num_workers: int,
) -> None:
    """Writes images as PNG files, named by their numbers, into a new folder.

    Args:
      pyramid: the images.
      indices: [k] numbers of those to write.
      resolution: the level.
      output: the folder; it appears when all is done.
      labels: "folders" for a folder of each class, "csv" for a table beside the images, "none".
      num_workers: processes that compress.

    Raises:
      UserError: the folder is in the way, or a record damaged.
    """
    output = Path(os.path.abspath(output))
    if os.path.lexists(output) and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"--output={output}: exists already; choose a new folder")
    if labels == "folders":
        classes = only_classes(pyramid, indices)
        folders = folder_names(pyramid)
        names = [folders[column] for column in classes]
    else:
        names = [""] * len(indices)
    width = max(6, len(str(pyramid.count - 1)))
    image_bytes = pyramid.channels * resolution**2
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes))
    with staged_directory(output) as staging:
        for name in sorted(set(names) - {""}):
            (staging / name).mkdir()
        write = ImageWriter(pyramid.directory, resolution, staging)
        tasks = [
            (indices[start : start + step], [
                os.path.join(name, f"{index:0{width}d}.png")
                for name, index in zip(
                    names[start : start + step], indices[start : start + step], strict=True
                )
            ])
            for start in range(0, len(indices), step)
        ]  # fmt: skip
        # A process takes longer to start than a few chunks to write.
        workers = min(num_workers, len(tasks) // 4)
        with (
            tqdm(total=len(indices), unit=" images", disable=None) as progress,
            closing(run_unordered(write, tasks, workers)) as results,
        ):
            for number in results:
                progress.update(number)
        if labels == "csv":
            _write_table(pyramid, indices, width, staging / LABELS_NAME)


@dataclasses.dataclass(frozen=True)
class ImageWriter:
    """Writes images of one level. Sent to each worker, which opens the pyramid for itself.

    Attributes:
      pyramid: its directory.
      resolution: the level.
      output: the folder.
    """

    pyramid: Path
    resolution: int
    output: Path

    @functools.cached_property
    def _opened(self) -> Pyramid:
        return open_pyramid(self.pyramid)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves open files out."""
        return {key: value for key, value in self.__dict__.items() if key != "_opened"}

    def __call__(self, part: tuple[np.ndarray, list[str]]) -> int:
        """Writes images under names; returns how many."""
        indices, names = part
        images = self._opened.level(self.resolution).read(indices)
        for image, name in zip(images, names, strict=True):
            to_picture(image).save(self.output / name, "PNG")
        return len(names)


def only_classes(pyramid: Pyramid, indices: np.ndarray) -> list[int]:
    """The class of each image.

    Raises:
      UserError: there are no labels, or an image is not of exactly one class.
    """
    if pyramid.labels is None:
        raise UserError(f"--labels=folders: {pyramid.directory} has no labels; use --labels=none")
    classes = []
    for index in indices:
        columns = np.flatnonzero(pyramid.labels[index] > 0)
        if len(columns) != 1:
            raise UserError(
                f"--labels=folders needs images of one class each; use --labels=csv."
                f" Received: image {index} of {len(columns)} classes"
            )
        classes.append(int(columns[0]))
    return classes


def folder_names(pyramid: Pyramid) -> list[str]:
    """A folder's name for each class: the class's own, where that is one and no other's."""
    names: list[str] = []
    for column in range(pyramid.label_size):
        name = re.sub(r"[/\x00-\x1f]", "_", class_name(pyramid, column)).strip()[:100]
        if not name or name.startswith(".") or name in names:
            name = f"{column}_{name.lstrip('.')}" if name.lstrip(".") else str(column)
        while name in names:
            name += "_"
        names.append(name)
    return names


def _write_table(pyramid: Pyramid, indices: np.ndarray, width: int, path: Path) -> None:
    """One row an image: its file, its class if it has one, and all its labels."""
    if pyramid.labels is None:
        raise UserError(f"--labels=csv: {pyramid.directory} has no labels; use --labels=none")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        names = [class_name(pyramid, column) for column in range(pyramid.label_size)]
        table.writerow(["file", "class", *names])
        table.writerows(_rows(pyramid, pyramid.labels, indices, width))


def _rows(
    pyramid: Pyramid, labels: np.ndarray, indices: np.ndarray, width: int
) -> Iterator[list[str]]:
    for index in indices:
        row = labels[index]
        columns = np.flatnonzero(row > 0)
        name = class_name(pyramid, int(columns[0])) if len(columns) == 1 else ""
        yield [f"{index:0{width}d}.png", name, *(f"{value:g}" for value in row)]
