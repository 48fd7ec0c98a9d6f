"""Data sets of small images that are decoded all at once."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.base import EightBitSquares, one_hot


@dataclasses.dataclass(frozen=True)
class DecodedImages:
    """A whole data set in memory.

    Attributes:
      images: [n C H W] uint8.
      classes: [n] int64, the class of each image.
      label_names: a name for each class.
    """

    images: np.ndarray
    classes: np.ndarray
    label_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ArraySource(EightBitSquares):
    """A data set that each process decodes as a whole.

    Attributes:
      kind: the source's name.
      input: the value of `--input`.
      read: decodes the data set; picklable.
      shape: (n, C, H, W) of the images, H = W = a power of two from 4.
      classes: [n] int64, the class of each image; None without labels.
      label_names: a name for each class; None without labels.
    """

    kind: str
    input: Path
    read: Callable[[], DecodedImages]
    shape: tuple[int, int, int, int]
    classes: np.ndarray | None
    label_names: tuple[str, ...] | None
    shuffled: bool = True

    @property
    def count(self) -> int:
        """Number of images."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """1 (grayscale) or 3 (RGB)."""
        return self.shape[1]

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.shape[2]

    @functools.cached_property
    def _images(self) -> np.ndarray:
        return self.read().images

    def labels(self) -> np.ndarray | None:
        """One-hot labels [n classes] float32."""
        if self.classes is None or self.label_names is None:
            return None
        return one_hot(self.classes, len(self.label_names))

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [C H W] uint8."""
        return self._images[index]

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        return {"kind": self.kind, "input": str(self.input)}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pixels out: each worker decodes them for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_images"}


def open_arrays(
    kind: str, path: Path, read: Callable[[], DecodedImages], with_labels: bool
) -> ArraySource:
    """Decode a data set and return it as a source.

    Args:
      kind: the source's name.
      path: the value of `--input`.
      read: decodes the data set; picklable.
      with_labels: take the labels.

    Raises:
      UserError: the data set has no images. Errors of `read` pass through.
    """
    decoded = read()
    count, channels, height, width = decoded.images.shape
    if count == 0:
        raise UserError(f"--input={path}: holds no images")
    source = ArraySource(
        kind,
        path,
        read,
        (count, channels, height, width),
        decoded.classes if with_labels else None,
        decoded.label_names if with_labels else None,
    )
    source.__dict__["_images"] = decoded.images  # so that this process decodes only once
    return source


def checked_classes(file: str, values: Any, count: int, size: int) -> np.ndarray:
    """Return class numbers as [count] int64.

    Args:
      file: the file that they were read from, for errors.
      values: the class numbers, of any type.
      count: the number of images.
      size: the number of classes.

    Raises:
      UserError: `values` are not `count` integers in 0..size-1.
    """
    try:
        classes = np.asarray(values)
    except ValueError:
        classes = np.empty((0, 0))
    if classes.shape != (count,) or classes.dtype.kind not in "iu":
        raise UserError(
            f"{file}: must hold {count} labels, one for each image."
            f" Received: {classes.dtype} {list(classes.shape)}"
        )
    if count and not 0 <= int(classes.min()) <= int(classes.max()) < size:
        raise UserError(
            f"{file}: labels must be in 0..{size - 1}."
            f" Received: {int(classes.min())}..{int(classes.max())}"
        )
    return classes.astype(np.int64)
