"""Street View House Numbers: the cropped digits, MATLAB files of 32x32 images."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.sources.arrays import (
    ArraySource,
    DecodedImages,
    checked_classes,
    open_arrays,
)
from tfrecords_tools.sources.shared_flags import INPUT, LABELS, SHUFFLE, SPLIT
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec
from tfrecords_tools.untrusted.isolated import run_isolated

_EXTRA = "svhn"
_DIGITS = tuple(str(digit) for digit in range(10))


def open_svhn(path: Path, split: str, with_labels: bool) -> ArraySource:
    """Read SVHN's cropped digits.

    Args:
      path: a file, or the folder of `train_32x32.mat`, `test_32x32.mat`, `extra_32x32.mat`.
      split: the file to take from a folder; the original uses "train".
      with_labels: take the labels.

    Raises:
      UserError: the file is missing, damaged, or of another kind.
    """
    file = path / f"{split}_32x32.mat" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: no such file; expected SVHN's cropped digits (format 2)")
    return open_arrays("svhn", path, functools.partial(_read, file), with_labels)


def _load(file: Path) -> dict[str, np.ndarray]:
    """Return a MATLAB file's arrays of plain numbers."""
    loadmat = require("scipy.io", _EXTRA).loadmat
    try:
        contents = loadmat(str(file), variable_names=["X", "y"])
    except Exception as error:  # the library fails in any way on a damaged file
        reason = str(error) or type(error).__name__
        raise UserError(f"{file}: damaged or no MATLAB file: {reason:.200}") from error
    return {
        name: value
        for name, value in contents.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf"
    }


def _read(file: Path) -> DecodedImages:
    require("scipy.io", _EXTRA)  # said here if it is not installed
    contents = run_isolated(_load, file)
    pixels, labels = contents.get("X"), contents.get("y")
    if not _is_uint8(pixels) or pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3):
        raise UserError(f"{file}: X must be uint8 [32, 32, 3, n]. Received: {_shown(pixels)}")
    count = pixels.shape[3]
    if not isinstance(labels, np.ndarray) or labels.shape != (count, 1):
        raise UserError(f"{file}: y must be [{count}, 1]. Received: {_shown(labels)}")
    if labels.dtype.kind not in "iuf" or not np.isin(labels, np.arange(1, 11)).all():
        raise UserError(
            f"{file}: y must hold 1 to 10, of which 10 is the digit 0."
            f" Received: {labels.dtype} {labels.min()} to {labels.max()}"
        )
    classes = checked_classes(str(file), labels[:, 0].astype(np.int64) % 10, count, 10)
    return DecodedImages(pixels.transpose(3, 2, 0, 1), classes, _DIGITS)


def _is_uint8(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8


def _shown(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else "none"


def _open(request: SourceRequest) -> ArraySource:
    return open_svhn(request["input"], request["split"], request["labels"] is not False)


SPEC = SourceSpec(
    name="svhn",
    description="Street View House Numbers, the cropped digits",
    flags=(
        replace(INPUT, note="a folder, or a .mat file"),
        replace(SPLIT, choices=("train", "test", "extra")),
        LABELS,
        SHUFFLE,
    ),
    open=_open,
    extra=_EXTRA,
    in_memory=True,
)
