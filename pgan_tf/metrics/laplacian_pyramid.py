"""Laplacian pyramids: the details of an image at every resolution (section 5)."""

import numpy as np

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def laplacian_pyramid(images: np.ndarray, levels: int) -> list[np.ndarray]:
    """Split images into frequency bands (Burt and Adelson, 1983).

    Each level is an image minus its low-pass version, halved and doubled in resolution; the last
    level is the low-pass residual. `reconstruct` is the inverse.

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
    """Return the images `[b h w c]` float32 of a Laplacian pyramid, up to rounding."""
    image = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        image = upscale(image) + band
    return image


def downscale(images: np.ndarray) -> np.ndarray:
    """Smooth `[b h w c]` float32 by the 5x5 binomial filter, and keep every second pixel.

    Borders are mirrored without repeating the edge.
    """
    return _downscale_axis(_downscale_axis(images, 1), 2)


def upscale(images: np.ndarray) -> np.ndarray:
    """Double the resolution of `[b h w c]` float32: insert zeros, then apply 4 times the filter.

    Borders are mirrored as in `downscale`.
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
    # Once zeros are inserted, the five taps of the filter meet three pixels where a pixel was, and
    # two in between. With mirrored borders, the pixel before the first is the second, and the one
    # after the last and its zero is the last again.
    size = images.shape[axis]
    before = images[_along(axis, slice(1, 2))]
    after = images[_along(axis, slice(size - 1, size))]
    padded = np.concatenate([before, images, after], axis)
    previous = padded[_along(axis, slice(0, size))]
    following = padded[_along(axis, slice(2, size + 2))]
    shape = list(images.shape)
    shape[axis] = 2 * size
    result = np.empty(shape, np.float32)
    outer, inner, center = 2 * _BINOMIAL[:3]
    result[_along(axis, slice(0, None, 2))] = center * images + outer * (previous + following)
    result[_along(axis, slice(1, None, 2))] = inner * (images + following)
    return result


def _along(axis: int, chosen: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (chosen,)


def _widths(images: np.ndarray, axis: int, width: int) -> list[tuple[int, int]]:
    return [(width, width) if i == axis else (0, 0) for i in range(images.ndim)]
