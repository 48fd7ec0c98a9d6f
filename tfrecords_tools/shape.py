"""The shape of images at every resolution of a pyramid. Standard library only.

A resolution is one number, 4 times a power of two, for pictures of any shape: the sides of an image
are those of the base, the image at resolution 4, times that power of two. The base of squares is
4x4. Texts have the width first, as people write sizes; code has the height first, as arrays do.
"""

import itertools
import math
import re
from typing import NamedTuple

SMALLEST_RESOLUTION = 4
_LARGEST_RESOLUTION = 1 << 16
# Networks begin and end with dense layers of the base's size: for this many pixels they have 16
# times the weights that they have for squares.
MOST_BASE_PIXELS = 256


class Base(NamedTuple):
    """The height and width of images at resolution 4."""

    height: int
    width: int

    def size_at(self, resolution: int) -> tuple[int, int]:
        """Return the height and width of images at a resolution, 4 times a power of two."""
        scale = resolution // SMALLEST_RESOLUTION
        return self.height * scale, self.width * scale

    def text_at(self, resolution: int) -> str:
        """Return the size of images at a resolution in words: `96x64`, the width first."""
        height, width = self.size_at(resolution)
        return f"{width}x{height}"

    @property
    def pixels(self) -> int:
        """Number of pixels of an image at resolution 4."""
        return self.height * self.width

    @property
    def is_square(self) -> bool:
        """True for the base of squares."""
        return self == SQUARE


SQUARE = Base(4, 4)


def has_alpha(channels: int) -> bool:
    """Return True if the last of an image's channels is alpha."""
    return channels in (2, 4)


def is_base(height: int, width: int) -> bool:
    """Return True if these are the sides of a base: 4x4, or the smallest of a rectangle."""
    if height == width:
        return height == SMALLEST_RESOLUTION
    smallest = min(height, width) >= SMALLEST_RESOLUTION and (
        height % 2 or width % 2 or min(height, width) // 2 < SMALLEST_RESOLUTION
    )
    return bool(smallest) and height * width <= MOST_BASE_PIXELS


def split_size(height: int, width: int) -> tuple[Base, int] | None:
    """Return the base and the resolution of images of a size; None for a size that has none."""
    scale = 1
    while not is_base(height, width):
        if height % 2 or width % 2 or min(height, width) <= SMALLEST_RESOLUTION:
            return None
        height, width, scale = height // 2, width // 2, 2 * scale
    resolution = SMALLEST_RESOLUTION * scale
    return (Base(height, width), resolution) if resolution <= _LARGEST_RESOLUTION else None


def nearest_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes that have a base and are nearest to one, two at most, as (height, width).

    They are squares for squares. The distance is the ratio of the widths times that of the heights.
    None is near a line that is thousands of pixels long.
    """
    if height == width:
        below = min(max(SMALLEST_RESOLUTION, 1 << height.bit_length() - 1), _LARGEST_RESOLUTION)
        return [(side, side) for side in (below, 2 * below) if side <= _LARGEST_RESOLUTION]
    found: dict[tuple[int, int], float] = {}
    scale = 1
    while scale * SMALLEST_RESOLUTION <= _LARGEST_RESOLUTION:
        for sides in itertools.product(*(_neighbors(side, scale) for side in (height, width))):
            if is_base(*sides):
                size = sides[0] * scale, sides[1] * scale
                found[size] = abs(math.log(size[0] / height)) + abs(math.log(size[1] / width))
        scale *= 2
    return sorted(found, key=lambda size: (found[size], size))[:2]


def parse_size(text: str) -> tuple[int, int] | None:
    """Return the height and width of `WIDTHxHEIGHT`, or of a number, both sides of a square.

    Returns:
      None for any other text.
    """
    match = re.fullmatch(r"(\d{1,9})(?:[xX](\d{1,9}))?", text)
    if match is None:
        return None
    width = int(match[1])
    return (width if match[2] is None else int(match[2])), width


def _neighbors(side: int, scale: int) -> set[int]:
    """Return multiples of a scale around a side, as numbers of scales."""
    below = side // scale
    return {max(SMALLEST_RESOLUTION, number) for number in (below, below + 1)}
