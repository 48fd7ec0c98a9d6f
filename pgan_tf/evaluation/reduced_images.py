"""Stored sets of images at a lower resolution, as in a pyramid."""

import dataclasses
from collections.abc import Callable

import numpy as np

from pgan_tf.evaluation.comparisons import NEIGHBORS
from pgan_tf.evaluation.image_sets import ImageSet, PyramidImages
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import SMALLEST_RESOLUTION, Base, nearest_sizes, split_size


def split_as_pyramid(images: ImageSet, metric: str) -> tuple[Base, int]:
    """Return the base and the resolution of a set's size.

    Args:
      images: the set.
      metric: name of the metric that needs images of such a size.

    Raises:
      UserError: no pyramid has images of this size.
    """
    split = split_size(*images.size)
    if split is None:
        nearest = " or ".join(f"{width}x{height}" for height, width in nearest_sizes(*images.size))
        raise UserError(
            f"{metric} needs images of a size that pyramids have; --resolution={nearest} is near. "
            f"Received: {images.size_text}, of {images.path}"
        )
    return split


def reduced(images: ImageSet, fits: Callable[[tuple[int, int]], bool]) -> "ReducedImages":
    """Return a set at its highest resolution at which a size fits, or at its lowest.

    Args:
      images: of a size that pyramids have.
      fits: tells of a (height, width).

    Raises:
      UserError: they have another size.
    """
    base, resolution = split_as_pyramid(images, NEIGHBORS)
    while resolution > SMALLEST_RESOLUTION and not fits(base.size_at(resolution)):
        resolution //= 2
    size = base.size_at(resolution)
    if isinstance(images, PyramidImages):
        level = dataclasses.replace(images, resolution=resolution)
        return ReducedImages(level, resolution, size, level.read)
    return ReducedImages(
        images, resolution, size, lambda numbers: area_means(images.read(numbers), size[0])
    )


@dataclasses.dataclass(frozen=True)
class ReducedImages:
    """A set of images, reduced.

    Attributes:
      source: the set that is read: of a pyramid, the level itself.
      resolution: to which images are reduced.
      size: height and width of that.
      read: numbers `[k]` to images `[k h w c]` uint8; alpha stays a channel.
    """

    source: ImageSet
    resolution: int
    size: tuple[int, int]
    read: Callable[[np.ndarray], np.ndarray]


def area_means(images: np.ndarray, height: int) -> np.ndarray:
    """Reduce `[b h w c]` uint8 images to a height by area means, rounded as in a pyramid."""
    count, full_height, width, channels = images.shape
    factor = full_height // height
    if factor <= 1:
        return images
    blocks = images.reshape(count, height, factor, width // factor, factor, channels)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
