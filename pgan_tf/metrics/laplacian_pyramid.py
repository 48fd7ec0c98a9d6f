"""Laplacian pyramids: an image as its details at every resolution, and a small rest (section 5)."""

import numpy as np

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def laplacian_pyramid(images: np.ndarray, levels: int) -> list[np.ndarray]:
    """Splits images into bands of frequencies (Burt and Adelson, 1983).

    Each level is an image minus what is left of it after halving and doubling its resolution; the
    last one is the low-pass rest. `reconstruct` undoes it.

    Args:
      images: `[b h w c]`, of any number type; a square of a power of two.
      levels: 1 or more; the last has a side of `h / 2^(levels - 1)`, at least 2.

    Returns:
      `[b h w c]`, `[b h/2 w/2 c]`, ... float32, in the images' units.
    """
    pyramid = [np.asarray(images, np.float32)]
    for _ in range(levels - 1):
        image = pyramid[-1]
        smaller = downscale(image)
        pyramid[-1] = image - upscale(smaller)
        pyramid.append(smaller)
    return pyramid


def reconstruct(pyramid: list[np.ndarray]) -> np.ndarray:
    """The images `[b h w c]` float32 that `laplacian_pyramid` was given, up to rounding."""
    image = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        image = upscale(image) + band
    return image


def downscale(images: np.ndarray) -> np.ndarray:
    """Smoothes `[b h w c]` float32 by the 5x5 binomial filter and keeps every second pixel.

    Borders are mirrored without repeating the edge.
    """
    return _downscale_axis(_downscale_axis(images, 1), 2)


def upscale(images: np.ndarray) -> np.ndarray:
    """Doubles the resolution of `[b h w c]` float32: zeros in between, then the filter times 4.

    The zeros' neighbours are mirrored as in `downscale`.
    """
    return _upscale_axis(_upscale_axis(images, 1), 2)


def _downscale_axis(images: np.ndarray, axis: int) -> np.ndarray:
    size = images.shape[axis]
    padded = np.pad(images, _widths(images, axis, 2), mode="reflect")
    result: np.ndarray = sum(
        weight * padded[_along(axis, slice(shift, shift + size, 2))]
        for shift, weight in enumerate(_BINOMIAL)
    )
    return result


def _upscale_axis(images: np.ndarray, axis: int) -> np.ndarray:
    # The filter falls on pixels that are all zero but every second one: on three of them where
    # there was a pixel, on two in between. What the mirror shows before the first pixel is the
    # second one, and after the last pixel and its zero, the last one again.
    size = images.shape[axis]
    before = images[_along(axis, slice(1, 2))]
    after = images[_along(axis, slice(size - 1, size))]
    padded = np.concatenate([before, images, after], axis)
    previous = padded[_along(axis, slice(0, size))]
    following = padded[_along(axis, slice(2, size + 2))]
    shape = list(images.shape)
    shape[axis] = 2 * size
    result = np.empty(shape, np.float32)
    outer, inner, centre = 2 * _BINOMIAL[:3]
    result[_along(axis, slice(0, None, 2))] = centre * images + outer * (previous + following)
    result[_along(axis, slice(1, None, 2))] = inner * (images + following)
    return result


def _along(axis: int, chosen: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (chosen,)


def _widths(images: np.ndarray, axis: int, width: int) -> list[tuple[int, int]]:
    return [(width, width) if i == axis else (0, 0) for i in range(images.ndim)]
