"""Sliced Wasserstein distance between patches of two sets of images (section 5 of the paper).

Small patches are cut out at random positions of each level of the images' Laplacian pyramids, from
the full resolution down to 16x16. The distance of a level is the Wasserstein distance between the
two distributions of patches, averaged over projections to random directions, where it only takes
sorting. It is small if the images are similar at that scale: the full resolution shows sharpness
and noise, 16x16 large shapes.
"""

import concurrent.futures
from collections.abc import Callable, Mapping

import numpy as np

from pgan_tf.metrics.laplacian_pyramid import laplacian_pyramid

MIN_RESOLUTION = 16
PATCH_SIZE = 7
PATCHES_PER_IMAGE = 128
DIRECTION_REPEATS = 4
DIRECTIONS_PER_REPEAT = 128

# Seeds that keep positions and directions apart.
_POSITIONS, _DIRECTIONS = 0, 1
# Directions that are sorted at a time, and patches that are projected at a time.
_DIRECTIONS_AT_ONCE = 32
_PATCHES_AT_ONCE = 1 << 14

# (resolution, shape) -> an array of that shape to fill, in memory or mapped from a file.
Allocate = Callable[[int, tuple[int, int]], np.ndarray]


def swd_resolutions(resolution: int) -> tuple[int, ...]:
    """Return the levels that are compared, from `resolution` down to 16.

    Raises:
      ValueError: `resolution` is less than 16, or not a power of two.
    """
    if resolution < MIN_RESOLUTION or resolution & (resolution - 1):
        raise ValueError(
            f"swd needs images of {MIN_RESOLUTION}x{MIN_RESOLUTION}, or a larger power of two. "
            f"Received: {resolution}x{resolution}"
        )
    return tuple(2**r for r in range(resolution.bit_length() - 1, 3, -1))


class PatchSampler:
    """Cuts patches out of the Laplacian pyramids of images that come batch by batch.

    The patches of image i do not depend on the sizes of batches. Kept are 128 patches of 7x7 per
    image and level: 25 kB of float32 per channel, thus 1.2 GB per level for 16,384 RGB images. The
    images themselves are not kept.
    """

    def __init__(
        self,
        num_images: int,
        resolution: int,
        channels: int,
        *,
        seed: int,
        allocate: Allocate | None = None,
    ):
        """Allocate room for all patches.

        Args:
          num_images: number of images that will be added.
          resolution: of the images.
          channels: 1 or 3.
          seed: of the positions; two sets of images need different seeds.
          allocate: returns arrays for the patches; None for arrays in memory.

        Raises:
          ValueError: the resolution has no level of 16x16.
        """
        allocate = allocate or (lambda resolution, shape: np.empty(shape, np.float32))
        self._shape = (resolution, resolution, channels)
        self._added = 0
        self._num_images = num_images
        self._random = {
            level: np.random.default_rng([_POSITIONS, seed, level])
            for level in swd_resolutions(resolution)
        }
        components = channels * PATCH_SIZE**2
        self._patches = {
            level: allocate(level, (num_images * PATCHES_PER_IMAGE, components))
            for level in self._random
        }

    def add(self, images: np.ndarray) -> None:
        """Add images `[b h w c]` in 0..255, of any number type.

        Raises:
          ValueError: they have another shape, or are too many.
        """
        if images.shape[1:] != self._shape or self._added + len(images) > self._num_images:
            raise ValueError(
                f"expected {self._num_images - self._added} images of {list(self._shape)} at most. "
                f"Received: {list(images.shape)}"
            )
        first = self._added * PATCHES_PER_IMAGE
        self._added += len(images)
        rows = slice(first, self._added * PATCHES_PER_IMAGE)
        pyramid = laplacian_pyramid(images, len(self._patches))
        for (level, patches), band in zip(self._patches.items(), pyramid, strict=True):
            patches[rows] = _cut(band, self._random[level])

    def finish(self) -> dict[int, np.ndarray]:
        """Return patches by resolution, `[num_images * 128 c * 49]` float32.

        Raises:
          ValueError: fewer images were added than announced.
        """
        if self._added != self._num_images:
            raise ValueError(f"expected {self._num_images} images. Received: {self._added}")
        return self._patches


def _cut(band: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cut patches `[b * 128 c * 49]` out of random positions of one level `[b h w c]`."""
    count, height, width, channels = band.shape
    # Fractions, since random integers would depend on the sizes of batches.
    positions = random.random((count, PATCHES_PER_IMAGE, 2))
    y = (positions[..., 0] * (height - PATCH_SIZE + 1)).astype(np.intp)
    x = (positions[..., 1] * (width - PATCH_SIZE + 1)).astype(np.intp)
    windows = np.lib.stride_tricks.sliding_window_view(
        band.transpose(0, 3, 1, 2), (PATCH_SIZE, PATCH_SIZE), axis=(2, 3)
    ).transpose(0, 2, 3, 1, 4, 5)
    patches = windows[np.arange(count)[:, np.newaxis], y, x]
    return patches.reshape(count * PATCHES_PER_IMAGE, channels * PATCH_SIZE**2)


def sliced_wasserstein(
    first: np.ndarray, second: np.ndarray, *, channels: int, seed: int = 0
) -> float:
    """Compute the sliced Wasserstein distance between two sets of patches.

    Each channel of each set is normalized to mean 0 and standard deviation 1; then the distance is
    the mean difference of sorted projections, over 4 x 128 random unit directions. Patches of one
    channel stand for three equal channels, as the original repeats grayscale images. The memory is
    two arrays of 32 directions for all patches, 540 MB in all for 16,384 images.

    Args:
      first: `[n channels * 49]` float32; may be mapped from a file.
      second: likewise, as many.
      channels: 1 or 3.
      seed: of the directions.

    Returns:
      The distance, 0 for equal sets; usually reported times 1000.

    Raises:
      ValueError: the shapes differ, or are not those of patches.
    """
    if first.shape != second.shape or first.shape[1] != channels * PATCH_SIZE**2:
        raise ValueError(
            f"expected two sets of patches [n {channels * PATCH_SIZE**2}]. "
            f"Received: {list(first.shape)} and {list(second.shape)}"
        )
    directions = _directions(channels, seed)
    scaled = [_fold_normalization(patches, directions, channels) for patches in (first, second)]
    buffers = [np.empty((_DIRECTIONS_AT_ONCE, len(first)), np.float32) for _ in scaled]
    total = 0.0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, len(directions), _DIRECTIONS_AT_ONCE):
            sets = zip((first, second), scaled, buffers, strict=True)
            for patches, (weights, offsets), projections in sets:
                chosen = slice(start, start + _DIRECTIONS_AT_ONCE)
                _project(patches, weights[chosen], offsets[chosen], projections)
            total += sum(pool.map(_sorted_distance, *buffers))
    return total / len(directions)


def _directions(channels: int, seed: int) -> np.ndarray:
    """Return unit directions `[512 channels * 49]` float64, summed over RGB for one channel."""
    random = np.random.default_rng([_DIRECTIONS, seed])
    count = DIRECTION_REPEATS * DIRECTIONS_PER_REPEAT
    directions = random.standard_normal((count, 3, PATCH_SIZE**2))
    directions /= np.sqrt((directions**2).sum((1, 2), keepdims=True))
    if channels == 1:
        directions = directions.sum(axis=1, keepdims=True)
    return directions.reshape(count, -1)


def _fold_normalization(
    patches: np.ndarray, directions: np.ndarray, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fold the normalization of patches into directions, so that the patches are not copied.

    Returns:
      Weights `[k d]` and offsets `[k]`, float32: projections are weights @ patches.T + offsets.
    """
    total, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(patches), _PATCHES_AT_ONCE):
        block = patches[start : start + _PATCHES_AT_ONCE].reshape(-1, channels, PATCH_SIZE**2)
        total += block.sum((0, 2), np.float64)
        squares += np.einsum("ncd,ncd->c", block, block, dtype=np.float64)
    count = len(patches) * PATCH_SIZE**2
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    # A channel without contrast, as of a generator of black images, stays at 0.
    deviation[deviation < 1e-4] = np.inf
    scaled = directions.reshape(len(directions), channels, -1) / deviation[:, np.newaxis]
    offsets = -(scaled.sum(axis=2) @ mean)
    return scaled.reshape(directions.shape).astype(np.float32), offsets.astype(np.float32)


def _project(
    patches: np.ndarray, weights: np.ndarray, offsets: np.ndarray, result: np.ndarray
) -> None:
    for start in range(0, len(patches), _PATCHES_AT_ONCE):
        columns = slice(start, start + _PATCHES_AT_ONCE)
        np.matmul(weights, patches[columns].T, out=result[:, columns])
    result += offsets[:, np.newaxis]


def _sorted_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of two rows of projections, which are sorted in place."""
    first.sort()
    second.sort()
    first -= second
    return float(np.abs(first, out=first).mean(dtype=np.float64))


def swd(
    reals: Mapping[int, np.ndarray],
    fakes: Mapping[int, np.ndarray],
    *,
    channels: int,
    seed: int = 0,
) -> dict[str, float]:
    """Compute the distance at every level and their mean, times 1000 as in the paper.

    Args:
      reals: patches by resolution, from `PatchSampler.finish`.
      fakes: likewise.
      channels: 1 or 3.
      seed: of the directions.

    Returns:
      `{"64": ..., "32": ..., "16": ..., "average": ...}`.
    """
    distances = {
        str(level): 1000
        * sliced_wasserstein(reals[level], fakes[level], channels=channels, seed=seed)
        for level in reals
    }
    return {**distances, "average": sum(distances.values()) / len(distances)}
