"""Flags that several sources share. A source adds its own note and choices with `replace`."""

from dataclasses import replace
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import MOST_BASE_PIXELS, Base, nearest_sizes, parse_size, split_size
from tfrecords_tools.sources.spec import FlagSpec

_CHANNELS = {"auto": 0, "gray": 1, "gray_alpha": 2, "rgb": 3, "rgba": 4, "1": 1, "3": 3}
_CHANNEL_NAMES = {1: "gray", 2: "gray_alpha", 3: "rgb", 4: "rgba"}
_LABELS = {"auto": None, "none": False, "classes": True, "folders": True}


def parse_path(text: str | None) -> Path | None:
    """Return the path; None for an empty one."""
    return Path(text) if text else None


def parse_resolution(text: str) -> tuple[Base, int] | None:
    """Return the base and the resolution of `--resolution=WIDTHxHEIGHT`; None for auto.

    Raises:
      UserError: no pyramid has this size.
    """
    if text == "auto":
        return None
    size = parse_size(text)
    split = split_size(*size) if size else None
    if split is not None:
        return split
    rule = "auto, a power of two from 4, or WIDTHxHEIGHT such as 384x256"
    if size is not None and size[0] != size[1]:
        rule += (
            ", 64 times 6x4: a power of two times a base whose sides are at least 4 and whose"
            f" pixels are at most {MOST_BASE_PIXELS} in all"
        )
    raise UserError(f"--resolution must be {rule}{nearest_words(size)}. Received: {text}")


def parse_square(text: str) -> int | None:
    """Return the resolution of squares; None for auto.

    Raises:
      UserError: no pyramid of squares has this size.
    """
    if text == "auto":
        return None
    size = parse_size(text)
    split = split_size(*size) if size else None
    if split is not None and split[0].is_square:
        return split[1]
    square = (size[1], size[1]) if size and size[0] == size[1] else None
    raise UserError(
        "--resolution must be auto or a power of two from 4, the side of squares, for this source"
        f"{nearest_words(square)}. Received: {text}"
    )


def check_bits(bits: int, channels: int) -> None:
    """Refuse 16 bits for anything but grayscale; `channels` is 0 for auto."""
    if bits == 16 and channels not in (0, 1):
        given = channels_name(channels)
        raise UserError(f"--bits=16 needs --channels=gray or auto. Received: --channels={given}")


def channels_name(channels: int) -> str:
    """Return the value of `--channels` that means a number of channels."""
    return _CHANNEL_NAMES[channels]


def nearest_words(size: tuple[int, int] | None) -> str:
    """Return the end of an error: the sizes nearest to a (height, width), if there are any."""
    if size is None or min(size) < 1:
        return ""
    sizes = [
        str(width) if height == width else f"{width}x{height}"
        for height, width in nearest_sizes(*size)
    ]
    return f"; the nearest are {' and '.join(sizes)}" if sizes else ""


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
    "Size of the images in pixels: a power of two from 4 for squares; WIDTHxHEIGHT for rectangles,"
    " both sides a power of two times those of a base, as 384x256 is 64 times 6x4.",
    parse=parse_resolution,
)
SQUARE_RESOLUTION = replace(RESOLUTION, parse=parse_square)
CHANNELS = FlagSpec(
    "channels",
    "choice",
    "auto",
    "Channels of the pyramid's images. auto: those that every image has, alpha if any of its pixels"
    " is transparent. 1 and 3 are gray and rgb.",
    choices=("auto", "gray", "gray_alpha", "rgb", "rgba", "1", "3"),
    parse=_CHANNELS.__getitem__,
)
BITS = FlagSpec(
    "bits",
    "choice",
    "8",
    "Bits of each value. 16 is for grayscale images of 16 bits, which otherwise become 8.",
    choices=("8", "16"),
    parse=int,
    recorded_default=False,
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
