"""The labels of a pyramid: one array for all levels, as numpy.save writes it."""

import hashlib
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource, name_of
from tfrecords_tools.format.manifest import MANIFEST_NAME
from tfrecords_tools.untrusted.array_file import view_array

# One-hot labels are 0 and 1, and labels of other kinds are of that order. What is beyond was
# written by mistake, and losses overflow with it.
_LARGEST = 1000.0
_BLOCK_ROWS = 65536


def read_labels(source: ByteSource, count: int, manifest: dict[str, Any] | None) -> np.ndarray:
    """Read a pyramid's labels.

    They have no checksum of their own, so they are compared with the manifest's, if there is one.

    Args:
      source: the file.
      count: number of images in the pyramid.
      manifest: the pyramid's.

    Returns:
      [count classes] float32, read-only, mapped from a file on disk.

    Raises:
      UserError: the file is damaged, or holds anything else.
    """
    data = source.read(0, source.size)
    labels = parse_labels(source.location, data)
    if len(labels) != count:
        raise UserError(
            f"{source.location}: must hold {count} labels, one an image. Received: {len(labels)}"
        )
    stated = (manifest or {"files": {}})["files"].get(name_of(source), {}).get("sha256")
    if stated is not None and hashlib.sha256(data.data).hexdigest() != stated:
        raise UserError(
            f"{source.location}: damaged, or not the labels that were written: its SHA-256 is not"
            f" the one in {MANIFEST_NAME}"
        )
    check_values(source.location, labels)
    return labels


def check_values(location: str, labels: np.ndarray) -> None:
    """Refuse labels that can't be trained on.

    Args:
      location: path or URL of their file, for errors.
      labels: [images classes], numbers of any type.

    Raises:
      UserError: a number is not finite, or absurdly large.
    """
    for start in range(0, len(labels), _BLOCK_ROWS):
        block = labels[start : start + _BLOCK_ROWS]
        good = (block >= -_LARGEST) & (block <= _LARGEST)  # NaN is neither
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise UserError(
                f"{location}: labels must be numbers from {-_LARGEST:g} to {_LARGEST:g}."
                f" Received: {block[row, column]} in row {start + row}"
            )


def parse_labels(location: str, data: np.ndarray) -> np.ndarray:
    """Return the labels in a file's bytes.

    Args:
      location: path or URL of the file, for errors.
      data: [n] uint8, its contents.

    Returns:
      [images classes] float32, a view of `data`.

    Raises:
      UserError: the file is damaged, or holds anything else.
    """
    try:
        labels = view_array(data)
    except ValueError as error:
        raise UserError(f"{location}: not an array saved by numpy.save ({error})") from error
    if labels.dtype != np.float32 or labels.ndim != 2:
        received = f"{labels.dtype} {list(labels.shape)}"
        raise UserError(
            f"{location}: labels must be float32 [images classes]. Received: {received}"
        )
    if labels.shape[1] == 0:
        raise UserError(f"{location}: must have at least one class. Received: none")
    return labels
