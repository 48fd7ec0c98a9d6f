"""HDF5 archives of the original's Theano version."""

import dataclasses
import functools
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.format.example import CHANNELS
from tfrecords_tools.format.labels import check_values
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.transparency import fill_transparent
from tfrecords_tools.pictures import to_8_bits
from tfrecords_tools.shape import Base, has_alpha, split_size
from tfrecords_tools.sources.base import one_hot
from tfrecords_tools.sources.shared_flags import BITS, INPUT, LABELS, SHUFFLE, nearest_words
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec
from tfrecords_tools.untrusted.array_file import load_array
from tfrecords_tools.untrusted.isolated import open_parser, run_isolated
from tfrecords_tools.untrusted.unpacking import MAX_GZIP_RATIO

_EXTRA = "hdf5"
_MAX_CHUNK_BYTES = 1 << 30
_MAX_NAMES = 1000
# More would be file names or numbers of images, mistaken for classes, and fill the memory.
_MOST_CLASSES = 1 << 16


@dataclasses.dataclass(frozen=True)
class Hdf5Source:
    """The images of an archive at their highest resolution, in the archive's order.

    Attributes:
      path: the archive.
      dataset: name of the HDF5 dataset that holds them, uint8 or uint16 [n C H W].
      shape: (n, C, H, W).
      base: height and width at resolution 4.
      resolution: 4 times a power of two; the side of squares in pixels.
      labels_path: the `-labels.npy` beside the archive; None without labels.
      label_names: the classes' numbers; None without labels.
      bits: of a value, 8 or 16; those that are stored are scaled.
    """

    path: Path
    dataset: str
    shape: tuple[int, int, int, int]
    base: Base
    resolution: int
    labels_path: Path | None
    label_names: tuple[str, ...] | None
    bits: int = 8
    shuffled: bool = True

    @property
    def count(self) -> int:
        """Number of images."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """1 to 4, as of every source."""
        return self.shape[1]

    @functools.cached_property
    def _archive(self) -> Any:
        return open_parser(_Archive, self.path)

    def labels(self) -> np.ndarray | None:
        """Labels [n classes] float32 as they are stored, or one-hot where class numbers are."""
        return None if self.labels_path is None else _read_labels(self.labels_path, self.count)

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [C H W] uint8, or uint16 for 16 bits."""
        try:
            image = self._archive.call("image", self.dataset, index)
        except UserError as error:
            reason = str(error).removeprefix(f"{self.path}: damaged: ")
            raise BadImageError(f"{self.path}: image {index}", f"is damaged: {reason}") from error
        if self.bits == 8:
            image = to_8_bits(image)
        else:
            image = image.astype(np.uint16) * np.uint16(257 if image.dtype == np.uint8 else 1)
        return fill_transparent(image) if has_alpha(self.channels) else image

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        labels = self.labels_path and str(self.labels_path)
        return {
            "kind": "hdf5",
            "input": str(self.path),
            "dataset": self.dataset,
            "labels": labels,
        }

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open archive out: each worker opens it for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_archive"}


def open_hdf5(path: Path, labels: bool | None, bits: int = 8) -> Hdf5Source:
    """Open an archive.

    Args:
      path: the .h5 file; each of its datasets named `data...` holds one resolution.
      labels: True requires the `-labels.npy` beside it, False ignores it, None takes it if it is
        there.
      bits: of a value, 8 or 16.

    Raises:
      UserError: a file is missing, damaged, or of another kind.
    """
    if not path.is_file():
        raise UserError(f"--input={path}: no such file; expected an HDF5 archive")
    require("h5py", _EXTRA)  # said here if it is not installed
    dataset, shape, dtype = run_isolated(_largest, path)
    count, channels, height, width = shape
    split = split_size(height, width)
    known_type = dtype.kind == "u" and dtype.itemsize <= 2 and channels in CHANNELS
    if not known_type or count == 0 or split is None:
        raise UserError(
            f"--input={path}: {dataset} must be uint8 or uint16 [n, C, H, W], C 1 to 4, H = W a"
            " power of two from 4, or H and W that are a power of two times a base, as 256 and 384"
            f" are 64 times 4 and 6{nearest_words((height, width)) if split is None else ''}."
            f" Received: {dtype} {list(shape)}"
        )
    if bits == 16 and channels != 1:
        raise UserError(
            f"--bits=16 needs grayscale images. Received: --input={path} of {channels} channels"
        )
    labels_path = path.with_name(f"{path.stem}-labels.npy")
    if labels is False or (labels is None and not labels_path.is_file()):
        return Hdf5Source(path, dataset, shape, *split, None, None, bits)
    if not labels_path.is_file():
        raise UserError(f"{labels_path}: no such file; --labels=classes needs it")
    classes = _read_labels(labels_path, count).shape[1]
    names = tuple(str(number) for number in range(classes))
    return Hdf5Source(path, dataset, shape, *split, labels_path, names, bits)


def _largest(path: Path) -> tuple[str, tuple[int, int, int, int], np.dtype]:
    """Return name, shape and type of the dataset with the largest images."""
    archive = _Archive(path)
    found = {name: value for name in archive.names if (value := archive.dataset(name)) is not None}
    if not found:
        names = ", ".join(archive.names[:10])
        raise UserError(
            f"--input={path}: no images; expected datasets named data..., [n C H W]."
            f" Received: {names or 'an empty archive'}"
        )
    name = max(found, key=lambda name: math.prod(found[name].shape[2:]))
    shape, dtype = found[name].shape, found[name].dtype
    # Chunks that were never written take no room, so that a small file can claim any number.
    # Those that were are compressed by gzip at most.
    if math.prod(shape) * dtype.itemsize > MAX_GZIP_RATIO * path.stat().st_size:
        raise UserError(
            f"--input={path}: damaged: {name} claims to hold {dtype} {list(shape)} in a file of"
            f" {path.stat().st_size} bytes"
        )
    return name, shape, dtype


class _Archive:
    """An open archive, in a process of its own.

    Attributes:
      names: of what is in it.
    """

    def __init__(self, path: Path):
        self._h5py = require("h5py", _EXTRA)
        self._path = path
        try:
            self._file = self._h5py.File(path, "r")
        except OSError as error:
            raise UserError(f"--input={path}: damaged or no HDF5 archive: {error}") from error
        self.names = list(itertools.islice(self._file, _MAX_NAMES))

    def dataset(self, name: str) -> Any:
        """Return a dataset of images; None for anything else.

        Raises:
          UserError: it lies in another file, or is made of others.
        """
        if not name.startswith("data"):
            return None
        if not isinstance(self._file.get(name, getlink=True), self._h5py.HardLink):
            raise self._elsewhere(name, "a link")
        value = self._file[name]
        if not isinstance(value, self._h5py.Dataset) or value.ndim != 4:
            return None
        if value.external or value.is_virtual:
            raise self._elsewhere(name, "external or virtual")
        if value.chunks and math.prod(value.chunks) * value.dtype.itemsize > _MAX_CHUNK_BYTES:
            raise UserError(f"--input={self._path}: {name} is cut into chunks that are too large")
        return value

    def image(self, name: str, index: int) -> np.ndarray:
        """Return one image."""
        return self.dataset(name)[index]

    def _elsewhere(self, name: str, kind: str) -> UserError:
        return UserError(
            f"--input={self._path}: {name} must be stored in this file itself. Received: {kind}"
        )


def _read_labels(path: Path, count: int) -> np.ndarray:
    """Return labels [count classes] float32."""
    labels = load_array(path)
    numbers = labels.dtype.kind in "iuf"
    if numbers and labels.ndim == 1 and labels.dtype.kind in "iu" and len(labels) == count:
        if labels.min() >= 0 and labels.max() < _MOST_CLASSES:
            return one_hot(labels.astype(np.int64), int(labels.max()) + 1)
    elif numbers and labels.ndim == 2 and len(labels) == count:
        check_values(str(path), labels)
        return labels.astype(np.float32)
    raise UserError(
        f"{path}: must hold [{count}, classes] numbers, or [{count}] class numbers, 0 to"
        f" {_MOST_CLASSES - 1}."
        f" Received: {labels.dtype} {list(labels.shape)}"
    )


def _open(request: SourceRequest) -> Hdf5Source:
    return open_hdf5(request["input"], request["labels"], request["bits"])


SPEC = SourceSpec(
    name="hdf5",
    description="an archive of the original's Theano version",
    flags=(replace(INPUT, note="an .h5 file"), LABELS, BITS, SHUFFLE),
    open=_open,
    extra=_EXTRA,
)
