"""From images at full resolution to every level of a pyramid."""

from collections.abc import Iterator

import numpy as np

SMALLEST = 4
_EXACT_HALVINGS = 8


def resolutions(full: int) -> tuple[int, ...]:
    """Return the resolutions of a pyramid, largest first: full, full / 2, ..., 4."""
    return tuple(1 << log2 for log2 in range(full.bit_length() - 1, SMALLEST.bit_length() - 2, -1))


def make_levels(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield every level of a batch of images, largest first.

    A level is the 2x2 mean of the *unrounded* level above it, rounded half to even. The original
    computes the means in float32, which is exact for up to 8 halvings, as from 1024x1024 to 4x4: a
    mean then has at most 8 + 16 significant bits. So far integer sums, which are faster, give the
    same result; further means are computed in float32.

    Args:
      images: [k C H W] uint8, H = W = a power of two from 4, C-contiguous.

    Yields:
      [k C h w] uint8 with h = w = H, H / 2, ..., 4.
    """
    yield images
    halvings, sums = 0, images
    while sums.shape[-1] > SMALLEST and halvings < _EXACT_HALVINGS:
        halvings += 1
        sums = _sum_bytes(images) if halvings == 1 else _sum(sums, halvings)
        yield _rounded_means(sums, 2 * halvings)
    if sums.shape[-1] > SMALLEST:
        means = sums.astype(np.float32) * np.float32(0.25**_EXACT_HALVINGS)
        while means.shape[-1] > SMALLEST:
            means = _sum(means, 0) * np.float32(0.25)
            yield np.rint(means).clip(0, 255).astype(np.uint8)


def _sum_bytes(images: np.ndarray) -> np.ndarray:
    """Return sums of 2x2 bytes, [k C H W] uint8 to [k C H/2 W/2] uint16.

    Two neighbors in a row are read as one 16-bit number, in either byte order.
    """
    pairs = np.ascontiguousarray(images).view(np.uint16)
    columns = (pairs & np.uint16(0xFF)) + (pairs >> np.uint16(8))
    return columns[:, :, 0::2] + columns[:, :, 1::2]


def _sum(values: np.ndarray, halvings: int) -> np.ndarray:
    """Return sums of 2x2 values, [k C h w] to [k C h/2 w/2], after `halvings` halvings in all."""
    if halvings == 5:  # after 4, 16 bits are full
        values = values.astype(np.uint32)
    rows = values[:, :, 0::2] + values[:, :, 1::2]
    return rows[..., 0::2] + rows[..., 1::2]


def _rounded_means(sums: np.ndarray, bits: int) -> np.ndarray:
    """Return sums / 2^bits rounded half to even, as uint8: add half, less 1 for even results."""
    number = sums.dtype.type
    odd = (sums >> number(bits)) & number(1)
    return ((sums + odd + number((1 << (bits - 1)) - 1)) >> number(bits)).astype(np.uint8)
