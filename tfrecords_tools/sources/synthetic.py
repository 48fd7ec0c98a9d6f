"""Drawn shapes: images for demonstrations and tests, from a seed alone.

Every image shows one large shape in a strong color, lit from the upper left, on a pale background
with a soft shadow; with alpha, on nothing. Shapes are signed distance functions, so they are smooth
at every resolution. They take the aspect of a rectangle.
"""

import colorsys
import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tfrecords_tools.image_files.transparency import fill_transparent
from tfrecords_tools.shape import SQUARE, Base, has_alpha
from tfrecords_tools.sources.base import one_hot
from tfrecords_tools.sources.shared_flags import (
    BITS,
    CHANNELS,
    LABELS,
    RESOLUTION,
    check_bits,
)
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest, SourceSpec

DEFAULT_COUNT = 10_000
DEFAULT_RESOLUTION = 64
SHAPES = ("circle", "ring", "square", "star", "triangle")
_LIGHT = (-0.55, -0.65)
_SHADE = 0.35  # of a shadow
_LUMA = (0.299, 0.587, 0.114)  # of RGB in grays (ITU-R BT.601)


@dataclasses.dataclass(frozen=True)
class SyntheticSource:
    """Images of drawn shapes.

    Image `i` is a function of `seed` and `i` alone, so a larger set begins with a smaller one.

    Attributes:
      count: number of images.
      resolution: of the images.
      seed: any integer from 0.
      with_labels: take the shapes as classes.
      base: height and width at resolution 4.
      channels: 1 to 4.
      bits: of a value, 8; 16 for grayscale.
    """

    count: int
    resolution: int
    seed: int = 0
    with_labels: bool = False
    base: Base = SQUARE
    channels: int = 3
    shuffled: bool = False
    bits: int = 8

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """The shapes' names; None without labels."""
        return SHAPES if self.with_labels else None

    def labels(self) -> np.ndarray | None:
        """One-hot shapes [n 5] float32."""
        if not self.with_labels:
            return None
        classes = [_shape_number(self.seed, index) for index in range(self.count)]
        return one_hot(np.array(classes, np.int64), len(SHAPES))

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [C H W] uint8 or uint16."""
        height, width = self.base.size_at(self.resolution)
        picture = draw(self.seed, index, height, width, with_alpha=has_alpha(self.channels))
        if self.channels < 3:
            picture = np.concatenate([np.tensordot(_LUMA, picture[:3], 1)[None], picture[3:]])
        largest, dtype = (255.0, np.uint8) if self.bits == 8 else (65535.0, np.uint16)
        image = np.rint(picture.clip(0.0, 1.0) * largest).astype(dtype)
        return fill_transparent(image) if has_alpha(self.channels) else image

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        return {"kind": "synthetic", "seed": self.seed, "shapes": list(SHAPES)}


def draw(seed: int, index: int, height: int, width: int, *, with_alpha: bool = False) -> np.ndarray:
    """Draw one image, [3 height width] or with alpha [4 height width], nominally in 0..1.

    In the coordinates used here the image is the square -1..1 in both axes, y pointing down.
    """
    random = np.random.default_rng((seed, index))
    distance_to = _DISTANCES[SHAPES[_shape_number(seed, index)]]
    center = random.uniform(-0.08, 0.08, size=2)
    radius = random.uniform(0.64, 0.78)
    angle = random.uniform(-0.2, 0.2)
    color = _rgb(random.uniform(), 0.85, 0.95)
    paper = _rgb(random.uniform(), 0.06, 0.97)

    pixel = 2.0 / min(height, width)
    across_image, down_image = _pixel_centers(width), _pixel_centers(height)
    x, y = (across_image - center[0])[None, :], (down_image - center[1])[:, None]
    across, down = _rotate(x, y, angle)
    distance = radius * distance_to(across / radius, down / radius)
    # The shadow is the same shape, displaced away from the light and blurred.
    across, down = _rotate(x - 0.09, y - 0.12, angle)
    shadow = _ramp(radius * distance_to(across / radius, down / radius), 0.26)

    facing = (x * _LIGHT[0] + y * _LIGHT[1]) / radius
    highlight = np.exp(-((x / radius + 0.38) ** 2 + (y / radius + 0.42) ** 2) / 0.08)
    lit = color[:, None, None] * (0.78 + 0.3 * facing) + 0.45 * highlight
    cover = _ramp(distance, pixel)
    if with_alpha:
        alpha = cover + (1.0 - cover) * _SHADE * shadow
        color = cover * lit.clip(0.0, 1.0) / np.maximum(alpha, 1e-6)  # over the black of the shadow
        return np.concatenate([color, alpha[None]])
    image = paper[:, None, None] * (1.0 - 0.16 * (down_image[None, :, None] + 1.0) / 2.0)
    image = image * (1.0 - _SHADE * shadow)
    return image + cover * (lit.clip(0.0, 1.0) - image)


def _pixel_centers(count: int) -> np.ndarray:
    return (np.arange(count, dtype=np.float32) + 0.5) * (2.0 / count) - 1.0


def _shape_number(seed: int, index: int) -> int:
    """Return the shape of image `index`.

    It has a random stream of its own, so that labels are known without drawing.
    """
    return int(np.random.default_rng((seed, index, 1)).integers(len(SHAPES)))


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 1 inside, 0 outside, a smooth step of `width` around the outline."""
    inside = (0.5 - distance / width).clip(0.0, 1.0)
    return inside * inside * (3.0 - 2.0 * inside)


def _rotate(x: np.ndarray, y: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 0.95


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(x, y) - 0.71) - 0.24


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.8


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Equilateral triangle pointing up: the largest of the distances to its three sides."""
    slope = np.sqrt(3.0) / 2.0
    y = y - 0.12
    return np.maximum(np.abs(x) * slope - y * 0.5, y) - 0.55


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Star of five points, one up: folds the plane onto half a point, measures to its edge."""
    sector = np.pi / 5.0
    angle, length = np.arctan2(x, -y), np.hypot(x, y)
    folded = np.abs((angle + sector) % (2.0 * sector) - sector)
    # The edge runs from the point (0, outer) to the notch at angle `sector`.
    outer, inner = 1.05, 0.5
    edge = np.array([inner * np.sin(sector), inner * np.cos(sector) - outer])
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    return length * np.sin(folded) * normal[0] + (length * np.cos(folded) - outer) * normal[1]


_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}


def _open(request: SourceRequest) -> SyntheticSource:
    base, resolution = request["resolution"] or (SQUARE, DEFAULT_RESOLUTION)
    bits = request["bits"]
    check_bits(bits, request["channels"])
    return SyntheticSource(
        request.num_images or DEFAULT_COUNT,
        resolution,
        request["seed"],
        with_labels=request["labels"] is True,
        base=base,
        channels=request["channels"] or (3 if bits == 8 else 1),
        bits=bits,
    )


SPEC = SourceSpec(
    name="synthetic",
    description="drawn shapes, no input",
    flags=(
        replace(RESOLUTION, note=f"auto is {DEFAULT_RESOLUTION}"),
        replace(LABELS, note="classes are the shapes, auto is none"),
        replace(CHANNELS, note="auto is rgb, or gray with --bits=16", recorded_default=False),
        BITS,
        FlagSpec("seed", "integer", 0, "Another seed draws other images.", minimum=0),
    ),
    open=_open,
    default_num_images=DEFAULT_COUNT,
)
