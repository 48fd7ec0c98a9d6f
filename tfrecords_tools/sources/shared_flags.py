"""Flags that several sources share. A source adds its own note and choices with `replace`."""

import re
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.spec import FlagSpec

_LABELS = {"auto": None, "none": False, "classes": True, "folders": True}


def parse_path(text: str | None) -> Path | None:
    """Return the path; None for an empty one."""
    return Path(text) if text else None


def parse_resolution(text: str) -> int | None:
    """Return the resolution in pixels; None for auto.

    Raises:
      UserError: it is not a power of two from 4.
    """
    if text == "auto":
        return None
    side = int(text) if re.fullmatch(r"\d{1,18}", text) else 0
    if side >= 4 and side & (side - 1) == 0:
        return side
    nearest = ""
    if side > 4:
        below = 1 << (side.bit_length() - 1)
        nearest = f"; the nearest are {below} and {2 * below}"
    raise UserError(
        f"--resolution must be auto or a power of two from 4{nearest}. Received: {text}"
    )


def parse_comma_separated(text: str | None) -> tuple[str, ...]:
    """Return the words between commas; none for None."""
    return tuple(word.strip() for word in text.split(",")) if text else ()


INPUT = FlagSpec(
    "input",
    "string",
    None,
    "The folder or file to read; docs/reference/sources.md says which.",
    required=True,
    parse=parse_path,
)
RESOLUTION = FlagSpec(
    "resolution",
    "string",
    "auto",
    "Side of the images in pixels, a power of two from 4.",
    parse=parse_resolution,
)
# Parsed, True takes labels, False takes none, and None (auto) is for the source to decide.
LABELS = FlagSpec(
    "labels",
    "choice",
    "auto",
    "Labels to write.",
    note="classes takes the data set's classes, auto does if there are any",
    choices=("auto", "none", "classes"),
    parse=_LABELS.__getitem__,
)
SPLIT = FlagSpec(
    "split", "choice", "train", "Files of a folder to read.", choices=("train", "test")
)
SHUFFLE = FlagSpec(
    "shuffle",
    "boolean",
    True,
    "Shuffle once, the same way each time, as the original implementation does; --noshuffle keeps"
    " the source's order. Sources that are not listed here are never shuffled.",
)
MAX_PIXELS = FlagSpec(
    "max_pixels",
    "integer",
    100_000_000,
    "Images with more pixels are bad images, and are not decoded.",
)
SKIP_BAD_IMAGES = FlagSpec(
    "skip_bad_images",
    "boolean",
    False,
    "Leave out images that are damaged, too small or too large, and list them, instead of stopping"
    " at the first.",
)


def expected_images(count: int) -> FlagSpec:
    """The flag `--expected_images` of a data set that is complete with `count` images."""
    return FlagSpec(
        "expected_images",
        "integer",
        None,
        "Number of images that there must be; 0 accepts any number.",
        note=f"{count} by default",
        minimum=0,
        parse=lambda given: count if given is None else given,
    )
