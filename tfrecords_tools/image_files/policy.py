"""The rules by which images of any size become images of a pyramid."""

import dataclasses
from typing import Any, Literal

from tfrecords_tools.shape import SQUARE, Base, has_alpha

Crop = Literal["center", "pad", "stretch", "none"]
Resize = Literal["lanczos", "bicubic", "bilinear", "box", "nearest"]

# Memory that a decoded file takes for each pixel, at most, in several modes.
_DECODING_BYTES = 32


@dataclasses.dataclass(frozen=True)
class ImagePolicy:
    """The conversion of files to images of one size and number of channels.

    The manifest records these fields by their names.

    Attributes:
      channels: 1 to 4.
      resolution: of the result, 4 times a power of two; the side of squares in pixels.
      crop: "center" takes the largest centered rectangle of the result's shape, "pad" adds
        background to make one, "stretch" scales both sides on their own, "none" accepts images of
        this shape only.
      resize: the filter that scales to the resolution.
      background: RGB, 0..255, the color of padding and behind transparent pixels, where the result
        has no alpha.
      max_pixels: files with more pixels are refused before they are decoded.
      allow_upscale: enlarge images smaller than the result, instead of refusing them.
      base: height and width at resolution 4.
      bits: of a value, 8; 16 for grayscale.
    """

    channels: int
    resolution: int
    crop: Crop = "center"
    resize: Resize = "lanczos"
    background: tuple[int, int, int] = (255, 255, 255)
    max_pixels: int = 100_000_000
    allow_upscale: bool = False
    base: Base = SQUARE
    bits: int = 8

    @property
    def has_alpha(self) -> bool:
        """True if the result's last channel is alpha."""
        return has_alpha(self.channels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result in pixels."""
        return self.base.size_at(self.resolution)

    @property
    def decoding_memory(self) -> int:
        """Bytes that are enough to decode the largest image and to make it fit."""
        return _DECODING_BYTES * self.max_pixels

    def has_shape(self, height: int, width: int) -> bool:
        """Return True if an image's sides relate as the result's."""
        return width * self.base.height == height * self.base.width

    def cropped_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of an image when it is cropped or padded, before scaling."""
        if self.crop in ("stretch", "none"):
            return height, width
        too_wide = width * self.base.height > height * self.base.width
        if too_wide == (self.crop == "center"):
            return height, _rounded_ratio(height * self.base.width, self.base.height)
        return _rounded_ratio(width * self.base.height, self.base.width), width

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entries, which for squares of 8 bits are those of version 0.1."""
        entries = dataclasses.asdict(self)
        if self.base.is_square:
            del entries["base"]
        if self.bits == 8:
            del entries["bits"]
        return entries


def _rounded_ratio(numerator: int, denominator: int) -> int:
    return max(1, (2 * numerator + denominator) // (2 * denominator))
