"""From images at full resolution to every level of a pyramid."""

from collections.abc import Iterator

import numpy as np

SMALLEST = 4


def resolutions(full: int) -> tuple[int, ...]:
    """The resolutions of a pyramid, largest first: full, full / 2, ..., 4."""
    return tuple(1 << log2 for log2 in range(full.bit_length() - 1, SMALLEST.bit_length() - 2, -1))


def make_levels(images: np.ndarray) -> Iterator[np.ndarray]:
    """Every level of a batch of images, largest first.

    A level is the 2x2 mean of the *unrounded* level above it, in float32, rounded half to even. The
    means of up to 1024x1024 pixels are exact: they have at most 8 + 16 significant bits.

    Args:
      images: [k C H W] uint8, H = W = a power of two from 4.

    Yields:
      [k C h w] uint8 with h = w = H, H / 2, ..., 4.
    """
    yield images
    means = images.astype(np.float32)
    while means.shape[-1] > SMALLEST:
        means = _shrink(means)
        yield np.rint(means).clip(0, 255).astype(np.uint8)


def _shrink(images: np.ndarray) -> np.ndarray:
    """2x2 means, [k C H W] to [k C H/2 W/2] float32."""
    rows = images[:, :, 0::2] + images[:, :, 1::2]
    return (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25)
