"""Images of a pyramid, written as PNG files with their labels."""

import csv
import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import settle_output, staged_directory
from tfrecords_tools.format import Pyramid, open_pyramid
from tfrecords_tools.inspection.chunks import SentToWorkers, cut_into_chunks, run_with_progress
from tfrecords_tools.inspection.selection import class_name
from tfrecords_tools.inspection.sheet import to_picture
from tfrecords_tools.printable import printable

LABELS_NAME = "labels.csv"


def extract(
    pyramid: Pyramid,
    indices: np.ndarray,
    resolution: int,
    output: Path,
    labels: str,
    num_workers: int,
) -> None:
    """Write images as PNG files, named by their numbers, into a new folder.

    Args:
      pyramid: the images.
      indices: [k] numbers of those to write.
      resolution: of the level.
      output: the folder; it appears when all files are written.
      labels: "folders" for a folder of each class, "csv" for a table beside the images, "none".
      num_workers: processes that compress.

    Raises:
      UserError: the folder is in the way, or a record damaged.
    """
    output = Path(os.path.abspath(output))
    settle_output(output)
    if os.path.lexists(output) and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(f"--output={output}: exists already; choose a new folder")
    if labels == "folders":
        classes = only_classes(pyramid, indices)
        folder_of_class = folder_names(pyramid)
        folders = [folder_of_class[column] for column in classes]
    else:
        folders = [""] * len(indices)
    width = max(6, len(str(pyramid.count - 1)))
    names = [
        os.path.join(folder, f"{index:0{width}d}.png")
        for folder, index in zip(folders, indices, strict=True)
    ]
    chunks = cut_into_chunks(len(indices), pyramid.level(resolution).image_bytes)
    tasks = [(indices[start:stop], names[start:stop]) for start, stop in chunks]
    with staged_directory(output) as staging:
        for folder in sorted(set(folders) - {""}):
            (staging / folder).mkdir()
        write = ImageWriter(pyramid.directory, resolution, staging)
        for _ in run_with_progress(write, tasks, num_workers, len(indices)):
            pass
        if labels == "csv":
            _write_table(pyramid, indices, width, staging / LABELS_NAME)


@dataclasses.dataclass(frozen=True)
class ImageWriter(SentToWorkers):
    """Writes images of one level.

    Attributes:
      pyramid: its directory.
      resolution: of the level.
      output: the folder.
    """

    pyramid: Path
    resolution: int
    output: Path

    @functools.cached_property
    def _opened(self) -> Pyramid:
        return open_pyramid(self.pyramid)

    def __call__(self, chunk: tuple[np.ndarray, list[str]]) -> tuple[int, None]:
        """Write images under their names; return how many."""
        indices, names = chunk
        images = self._opened.level(self.resolution).read(indices)
        for image, name in zip(images, names, strict=True):
            to_picture(image).save(self.output / name, "PNG")
        return len(names), None


def only_classes(pyramid: Pyramid, indices: np.ndarray) -> list[int]:
    """Return the class of each image.

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
    """Return a folder's name for each class: the class's own if it can be one and is unique."""
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
    """Write a row for each image: its file, its class if it has one, and all its labels."""
    if pyramid.labels is None:
        raise UserError(f"--labels=csv: {pyramid.directory} has no labels; use --labels=none")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        names = [printable(class_name(pyramid, column)) for column in range(pyramid.label_size)]
        table.writerow(["file", "class", *names])
        table.writerows(_rows(names, pyramid.labels, indices, width))


def _rows(
    names: list[str], labels: np.ndarray, indices: np.ndarray, width: int
) -> Iterator[list[str]]:
    for index in indices:
        row = labels[index]
        columns = np.flatnonzero(row > 0)
        name = names[columns[0]] if len(columns) == 1 else ""
        yield [f"{index:0{width}d}.png", name, *(f"{value:g}" for value in row)]
