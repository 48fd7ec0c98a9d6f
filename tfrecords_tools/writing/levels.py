"""From images at full resolution to every level of a pyramid."""

from collections.abc import Iterator

import numpy as np

from tfrecords_tools.shape import SMALLEST_RESOLUTION, split_size

_EXACT_HALVINGS = 8


def resolutions(full: int) -> tuple[int, ...]:
    """Return the resolutions of a pyramid, largest first: full, full / 2, ..., 4."""
    smallest = SMALLEST_RESOLUTION.bit_length() - 1
    return tuple(1 << log2 for log2 in range(full.bit_length() - 1, smallest - 1, -1))


def make_levels(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield every level of a batch of images, largest first.

    A level is the 2x2 mean of the *unrounded* level above it, rounded half to even. The original
    computes the means in float32, which is exact for up to 8 halvings, as from 1024x1024 to 4x4: a
    mean then has at most 8 + 16 significant bits. So far integer sums, which are faster, give the
    same result; further means are computed in float32. Images of 16 bits, which the original does
    not have, are summed as integers at every level.

    Args:
      images: [k C H W] uint8 or uint16, C-contiguous; H and W have a base.

    Yields:
      [k C h w] of the same type, with h, w = H, W, then H / 2, W / 2, ..., the base.

    Raises:
      ValueError: H and W have no base.
    """
    split = split_size(*images.shape[-2:])
    if split is None:
        raise ValueError(f"no pyramid begins with images of this size. Received: {images.shape}")
    halvings = len(resolutions(split[1])) - 1
    yield images
    if images.dtype == np.uint8:
        yield from _means_of_bytes(images, halvings)
    else:
        sums = images.astype(np.uint64)
        for halving in range(1, halvings + 1):
            sums = _sum(sums)
            yield _rounded_means(sums, 2 * halving, images.dtype)


def _means_of_bytes(images: np.ndarray, halvings: int) -> Iterator[np.ndarray]:
    """Yield the levels below images [k C H W] uint8."""
    sums = images
    for halving in range(1, min(halvings, _EXACT_HALVINGS) + 1):
        if halving == 5:  # after 4, 16 bits are full
            sums = sums.astype(np.uint32)
        sums = _sum_bytes(images) if halving == 1 else _sum(sums)
        yield _rounded_means(sums, 2 * halving, images.dtype)
    if halvings <= _EXACT_HALVINGS:
        return
    means = sums.astype(np.float32) * np.float32(0.25**_EXACT_HALVINGS)
    for _ in range(_EXACT_HALVINGS, halvings):
        means = _sum(means) * np.float32(0.25)
        yield np.rint(means).clip(0, 255).astype(np.uint8)


def _sum_bytes(images: np.ndarray) -> np.ndarray:
    """Return sums of 2x2 bytes, [k C H W] uint8 to [k C H/2 W/2] uint16.

    Two neighbors in a row are read as one 16-bit number, in either byte order.
    """
    pairs = np.ascontiguousarray(images).view(np.uint16)
    columns = (pairs & np.uint16(0xFF)) + (pairs >> np.uint16(8))
    return columns[:, :, 0::2] + columns[:, :, 1::2]


def _sum(values: np.ndarray) -> np.ndarray:
    """Return sums of 2x2 values, [k C h w] to [k C h/2 w/2]."""
    rows = values[:, :, 0::2] + values[:, :, 1::2]
    return rows[..., 0::2] + rows[..., 1::2]


def _rounded_means(sums: np.ndarray, bits: int, dtype: np.dtype) -> np.ndarray:
    """Return sums / 2^bits rounded half to even: add half, less 1 for even results."""
    number = sums.dtype.type
    odd = (sums >> number(bits)) & number(1)
    return ((sums + odd + number((1 << (bits - 1)) - 1)) >> number(bits)).astype(dtype)
