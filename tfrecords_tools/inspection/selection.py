"""The choice of images to look at."""

import re

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid

_BLOCK_ROWS = 1 << 16


def select_images(
    pyramid: Pyramid, images: str | None, label: str | None, limit: int | None, seed: int | None
) -> np.ndarray:
    """Return the numbers of the images that the user asked for, [k] int64.

    Args:
      pyramid: the images.
      images: numbers and ranges, such as "0-9,17"; None for all.
      label: the name or number of a class; None for all.
      limit: largest number of images.
      seed: of a random choice of so many; None takes the first.

    Raises:
      UserError: there are no such images, or no such class.
    """
    chosen = _parse_numbers(images, pyramid.count)
    if label is not None:
        chosen = chosen[_has_class(pyramid, chosen, find_class(pyramid, label))]
    if not len(chosen):
        raise UserError(f"{pyramid.directory}: no image is chosen by --images and --label")
    if limit is None or limit >= len(chosen):
        return chosen
    if seed is None:
        return chosen[:limit]
    drawn = np.random.default_rng(seed).choice(len(chosen), limit, replace=False)
    return chosen[np.sort(drawn)]


def find_class(pyramid: Pyramid, label: str) -> int:
    """Return the column of a class, by its name or number."""
    names = pyramid.label_names or ()
    if label in names:
        return names.index(label)
    if re.fullmatch(r"\d{1,18}", label) and int(label) < pyramid.label_size:
        return int(label)
    if not pyramid.label_size:
        raise UserError(f"--label: {pyramid.directory} has no labels. Received: {label}")
    known = ", ".join(names[:20]) or f"0..{pyramid.label_size - 1}"
    raise UserError(f"--label must be one of {known}. Received: {label}")


def class_name(pyramid: Pyramid, column: int) -> str:
    """Return the name of a class, or its number where classes have no names."""
    return pyramid.label_names[column] if pyramid.label_names else str(column)


def caption(pyramid: Pyramid, index: int) -> str:
    """Return the number of an image, and its classes if it has any."""
    if pyramid.labels is None:
        return str(index)
    columns = np.flatnonzero(pyramid.labels[index] > 0)
    return f"{index}: {', '.join(class_name(pyramid, int(column)) for column in columns)}"


def find_resolution(pyramid: Pyramid, resolution: int | None) -> int:
    """Return the resolution asked for, after checking that it exists; for None, the full one."""
    if resolution is None:
        return pyramid.resolution
    if resolution not in [level.resolution for level in pyramid.levels]:
        levels = ", ".join(
            f"{level.resolution}{'' if pyramid.base.is_square else f' ({level.size_text})'}"
            for level in pyramid.levels
        )
        raise UserError(f"--resolution must be one of {levels}. Received: {resolution}")
    return resolution


def _has_class(pyramid: Pyramid, chosen: np.ndarray, column: int) -> np.ndarray:
    """Return which of the chosen images are of a class, [k] bool."""
    labels = pyramid.labels
    if labels is None:
        return np.zeros(len(chosen), bool)
    blocks = range(0, len(chosen), _BLOCK_ROWS)
    found = [labels[chosen[start : start + _BLOCK_ROWS], column] > 0 for start in blocks]
    return np.concatenate(found) if found else np.zeros(0, bool)


def _parse_numbers(text: str | None, count: int) -> np.ndarray:
    """Return the image numbers in a text such as "0-9,17", all below `count`; all for None."""
    if text is None:
        return np.arange(count)
    numbers = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", item)
        if match is None:
            raise UserError(f"--images must be numbers and ranges like 0-9,17. Received: {text}")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last >= count or first > last:
            raise UserError(f"--images must be within 0-{count - 1}. Received: {item.strip()}")
        numbers.append(np.arange(first, last + 1))
    return np.concatenate(numbers)
