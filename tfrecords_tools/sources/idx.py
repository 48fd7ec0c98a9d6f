"""Files in MNIST's IDX format: MNIST, Fashion-MNIST, EMNIST and others."""

import dataclasses
import functools
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.sources.base import EightBitSquares, one_hot
from tfrecords_tools.sources.shared_flags import (
    INPUT,
    LABELS,
    SHUFFLE,
    SPLIT,
    parse_comma_separated,
)
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest, SourceSpec
from tfrecords_tools.untrusted.regular_file import open_regular
from tfrecords_tools.untrusted.unpacking import GZIP_MAGIC, MAX_GZIP_RATIO, open_unpacked

Split = Literal["train", "test"]

_UINT8 = 0x08
_IMAGES_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
}


@dataclasses.dataclass(frozen=True)
class IdxSource(EightBitSquares):
    """Grayscale images of an IDX file, zero-padded evenly to the next power of two (28 to 32).

    Attributes:
      images_path: a file of uint8 [n h w], compressed by gzip or not.
      labels_path: a file of uint8 [n]; None without labels.
      shape: (n, h, w) of the images before padding.
      resolution: side of the padded images in pixels.
      label_names: a name for each class; None without labels.
    """

    images_path: Path
    labels_path: Path | None
    shape: tuple[int, int, int]
    resolution: int
    label_names: tuple[str, ...] | None
    channels: int = 1
    shuffled: bool = True

    @property
    def count(self) -> int:
        """Number of images."""
        return self.shape[0]

    @functools.cached_property
    def _images(self) -> tuple[np.ndarray, MappedFile | None]:
        return _open_idx(self.images_path, 3)

    def labels(self) -> np.ndarray | None:
        """One-hot labels [n classes] float32."""
        if self.labels_path is None or self.label_names is None:
            return None
        return one_hot(_read_labels(self.labels_path), len(self.label_names))

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [1 H W] uint8."""
        _, height, width = self.shape
        top, left = (self.resolution - height) // 2, (self.resolution - width) // 2
        image = np.zeros((1, self.resolution, self.resolution), np.uint8)
        images, file = self._images
        image[0, top : top + height, left : left + width] = images[index]
        if file is not None:
            file.require_whole()
        return image

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        labels = self.labels_path and str(self.labels_path)
        return {
            "kind": "idx",
            "images": str(self.images_path),
            "labels": labels,
            "size": list(self.shape[1:]),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pixels out: each worker reads them for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_images"}


def open_idx(
    path: Path, split: Split, labels: bool | None, label_names: tuple[str, ...] | None
) -> IdxSource:
    """Open a pair of IDX files: images, and labels if wanted.

    Args:
      path: a folder with MNIST's file names, or a file of images.
      split: the pair to take from a folder; the original uses "train".
      labels: True requires a file of labels beside the images, False ignores it, None takes it if
        it is there.
      label_names: a name for each class; None numbers them.

    Raises:
      UserError: a file is missing, damaged, or of another kind.
    """
    images_path = path if path.is_file() else _find_images(path, split)
    count, height, width = read_idx(images_path, 3).shape
    if count == 0 or height == 0 or width == 0:
        raise UserError(f"{images_path}: holds no images")
    labels_path = None if labels is False else _labels_beside(images_path)
    if labels and labels_path is None:
        raise UserError(
            f"{images_path}: --labels=classes needs a labels file beside it; found none"
        )
    if labels_path is None and label_names:
        raise UserError("--label_names needs labels. Received: images without labels")
    if labels_path is not None:
        label_names = _checked_names(labels_path, images_path, count, label_names)
    resolution = max(4, 1 << math.ceil(math.log2(max(height, width))))
    return IdxSource(images_path, labels_path, (count, height, width), resolution, label_names)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read the array in an IDX file of uint8, compressed by gzip or not.

    Returns:
      A uint8 array of `dimensions` dimensions; mapped from disk unless compressed.

    Raises:
      UserError: the file is missing, damaged, or of another type or shape.
    """
    return _open_idx(path, dimensions)[0]


def _read_labels(path: Path) -> np.ndarray:
    labels, file = _open_idx(path, 1)
    if file is None:
        return labels
    labels = labels.copy()
    file.require_whole()
    return labels


def _open_idx(path: Path, dimensions: int) -> tuple[np.ndarray, MappedFile | None]:
    """Return the array in an IDX file, and the file if the array is mapped from it."""
    mapped = None
    try:
        size = path.stat().st_size
        with open_regular(path) as file:
            compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        if compressed:
            with open_unpacked(path, MAX_GZIP_RATIO * size) as unzipped:
                beginning = unzipped.read(4 + 4 * dimensions)
                # One byte more than the header announces, which would be too many.
                rest = unzipped.read(_body_bytes(beginning) + 1)
                data = np.frombuffer(beginning + rest, np.uint8)
        else:
            mapped = MappedFile(path)
            data = mapped.data
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged: {error}") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        if error.errno:
            raise
        raise UserError(f"{path}: damaged: {error}") from error  # gzip's
    magic = bytes([0, 0, _UINT8, dimensions])
    if data[:4].tobytes() != magic:
        raise UserError(
            f"{path}: not an IDX file of uint8 in {dimensions} dimensions: it must begin with"
            f" {magic.hex(' ')}. Received: {data[:4].tobytes().hex(' ') or 'nothing'}"
        )
    body = 4 + 4 * dimensions
    shape = tuple(int(size) for size in data[4:body].view(">u4")) if len(data) >= body else (0,)
    expected = body + math.prod(shape)
    if len(data) != expected:
        raise UserError(
            f"{path}: truncated or damaged: its header says {expected} bytes."
            f" Received: {len(data)} bytes"
        )
    return data[body:].reshape(shape), mapped


def _body_bytes(beginning: bytes) -> int:
    """Return the bytes after a header that it announces."""
    return math.prod(np.frombuffer(beginning[4:], ">u4", (len(beginning) - 4) // 4).tolist())


def _find_images(folder: Path, split: Split) -> Path:
    if not folder.is_dir():
        raise UserError(f"--input={folder}: no such file or folder")
    for name in _IMAGES_NAMES[split]:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    raise UserError(
        f"--input={folder}: no MNIST files; expected {_IMAGES_NAMES[split][0]} or"
        f" {_IMAGES_NAMES[split][0]}.gz in it, or --input=FILE of images"
    )


def _labels_beside(images_path: Path) -> Path | None:
    name = images_path.name.removesuffix(".gz")
    wanted = name.replace("images", "labels").replace("idx3", "idx1")
    if wanted == name:
        return None
    for candidate in (images_path.with_name(wanted), images_path.with_name(f"{wanted}.gz")):
        if candidate.is_file():
            return candidate
    return None


def _checked_names(
    labels_path: Path, images_path: Path, count: int, names: tuple[str, ...] | None
) -> tuple[str, ...]:
    labels = _read_labels(labels_path)
    if len(labels) != count:
        raise UserError(
            f"{labels_path}: must hold {count} labels, as {images_path.name} holds images."
            f" Received: {len(labels)}"
        )
    classes = int(labels.max()) + 1
    if names is None:
        return tuple(str(number) for number in range(classes))
    if len(names) < classes:
        raise UserError(f"--label_names must name {classes} classes. Received: {','.join(names)}")
    return names


def _open(request: SourceRequest) -> IdxSource:
    names = request["label_names"] or None
    return open_idx(request["input"], request["split"], request["labels"], names)


SPEC = SourceSpec(
    name="idx",
    description="MNIST, Fashion-MNIST and others in that format",
    flags=(
        replace(INPUT, note="a folder, or a file of images"),
        SPLIT,
        LABELS,
        FlagSpec(
            "label_names",
            "string",
            None,
            "The classes' names, comma-separated. Default: 0,1,2,...",
            parse=parse_comma_separated,
        ),
        SHUFFLE,
    ),
    open=_open,
)
