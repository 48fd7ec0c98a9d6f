"""Laplacian pyramids: the details of an image at every resolution (section 5)."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def laplacian_pyramid(images: np.ndarray, levels: int) -> list[np.ndarray]:
    """Split images into frequency bands (Burt and Adelson, 1983).

    Each level is an image minus its low-pass version, halved and doubled in resolution; the last
    level is the low-pass residual. `reconstruct` is the inverse.

    Args:
      images: `[b h w c]`, of any number type; both sides are divisible by `2^(levels - 1)`.
      levels: 1 or more; the last has sides of `h / 2^(levels - 1)` and `w / 2^(levels - 1)`, at
        least 2.

    Returns:
      `[b h w c]`, `[b h/2 w/2 c]`, ... float32, in the images' units.
    """
    images = np.asarray(images)
    compute = pyramid_function(images.shape, images.dtype.name, levels)
    return [band.numpy() for band in compute(images)]


@functools.cache
def pyramid_function(
    shape: tuple[int, ...], dtype: str, levels: int
) -> Callable[[np.ndarray], list["tf.Tensor"]]:
    """Return `laplacian_pyramid` as a TensorFlow function, for images of one shape.

    On CPUs it is compiled, which fuses its sums: about 10 times as fast as without. GPUs need no
    compiler for it.

    Args:
      shape: `[b h w c]`.
      dtype: of the images.
      levels: see `laplacian_pyramid`.
    """
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec(shape, dtype)],
        jit_compile=not tf.config.list_logical_devices("GPU"),
    )
    def compute(images: tf.Tensor) -> list[tf.Tensor]:
        pyramid = [tf.cast(images, tf.float32)]
        for _ in range(levels - 1):
            image = pyramid[-1]
            smaller = downscale(image)
            pyramid[-1] = image - upscale(smaller)
            pyramid.append(smaller)
        return pyramid

    return compute.get_concrete_function()


def reconstruct(pyramid: Sequence["tf.Tensor | np.ndarray"]) -> "tf.Tensor":
    """Return the images `[b h w c]` float32 of a Laplacian pyramid, up to rounding."""
    image = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        image = upscale(image) + band
    return image


def downscale(images: "tf.Tensor | np.ndarray") -> "tf.Tensor":
    """Smooth `[b h w c]` float32 by the 5x5 binomial filter, and keep every second pixel.

    Borders are mirrored without repeating the edge.
    """
    return _downscale_axis(_downscale_axis(images, 1), 2)


def upscale(images: "tf.Tensor | np.ndarray") -> "tf.Tensor":
    """Double the resolution of `[b h w c]` float32: insert zeros, then apply 4 times the filter.

    Borders are mirrored as in `downscale`.
    """
    return _upscale_axis(_upscale_axis(images, 1), 2)


def _downscale_axis(images: "tf.Tensor | np.ndarray", axis: int) -> "tf.Tensor":
    import tensorflow as tf

    size = images.shape[axis]
    mirrored = np.pad(np.arange(size), 2, mode="reflect")
    before = [_along(images, axis, i, i + 1) for i in mirrored[:2]]
    after = _along(images, axis, mirrored[-2], mirrored[-2] + 1)
    padded = tf.concat([*before, images, after], axis)
    taps = [_along(padded, axis, shift, shift + size - 1, 2) for shift in range(5)]
    # Multiples of whole numbers: the first two levels of uint8 images are exact.
    return (taps[0] + taps[4] + 4 * (taps[1] + taps[3]) + 6 * taps[2]) / 16


def _upscale_axis(images: "tf.Tensor | np.ndarray", axis: int) -> "tf.Tensor":
    import tensorflow as tf

    # Once zeros are inserted, the five taps of the filter meet three pixels where a pixel was, and
    # two in between. With mirrored borders, the pixel before the first is the second, and the one
    # after the last and its zero is the last again.
    size = images.shape[axis]
    before = _along(images, axis, 1, 2)
    after = _along(images, axis, size - 1, size)
    padded = tf.concat([before, images, after], axis)
    previous, following = _along(padded, axis, 0, size), _along(padded, axis, 2, size + 2)
    even = (previous + following + 6 * images) / 8
    odd = (images + following) / 2
    shape = list(images.shape)
    shape[axis] = 2 * size
    return tf.reshape(tf.stack([even, odd], axis + 1), shape)


def _along(
    images: "tf.Tensor | np.ndarray", axis: int, start: int, stop: int, step: int = 1
) -> "tf.Tensor | np.ndarray":
    """Return a slice of one axis."""
    return images[(slice(None),) * axis + (slice(start, stop, step),)]
