"""Sliced Wasserstein distance between patches of two sets of images (section 5 of the paper).

Small patches are cut out at random positions of each level of the images' Laplacian pyramids, from
the full resolution down to 16x16 (`patches.py`). The distance of a level is the Wasserstein
distance between the two distributions of patches, averaged over projections to random directions,
where it only takes sorting. It is small if the images are similar at that scale: the full
resolution shows sharpness and noise, 16x16 large shapes.
"""

import concurrent.futures
from collections.abc import Mapping

import numpy as np

from pgan_tf.metrics.patches import PATCH_SIZE

DIRECTION_REPEATS = 4
DIRECTIONS_PER_REPEAT = 128

# Keeps directions apart from the positions of patches.
_DIRECTIONS = 1
# Directions that are sorted at a time, and patches that are projected at a time.
_DIRECTIONS_AT_ONCE = 32
_PATCHES_AT_ONCE = 1 << 12


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
                _project(pool, patches, weights[chosen], offsets[chosen], projections)
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
    pool: concurrent.futures.Executor,
    patches: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fill `result` `[k n]` with weights `[k d]` @ patches.T + offsets `[k]`."""
    import tensorflow as tf

    def project_block(start: int) -> None:
        block = slice(start, start + _PATCHES_AT_ONCE)
        # Three times as fast as NumPy's product, whose threads wait for each other. Not on a GPU,
        # which would round to TF32.
        with tf.device("CPU:0"):
            product = tf.matmul(patches[block], weights, transpose_b=True).numpy()
        np.add(product.T, offsets[:, np.newaxis], out=result[:, block])

    list(pool.map(project_block, range(0, len(patches), _PATCHES_AT_ONCE)))


def _sorted_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of two rows of projections, which are sorted in place."""
    first.sort()
    second.sort()
    first -= second
    return float(np.abs(first, out=first).mean(dtype=np.float64))


def swd(
    reals: Mapping[str, np.ndarray],
    fakes: Mapping[str, np.ndarray],
    *,
    channels: int,
    seed: int = 0,
) -> dict[str, float]:
    """Compute the distance at every level and their mean, times 1000 as in the paper.

    Args:
      reals: patches by the name of the level, from `PatchSampler.finish`.
      fakes: likewise.
      channels: 1 or 3.
      seed: of the directions.

    Returns:
      `{"64": ..., "32": ..., "16": ..., "average": ...}`; of rectangles `{"96x64": ..., ...}`.
    """
    distances = {
        level: 1000 * sliced_wasserstein(reals[level], fakes[level], channels=channels, seed=seed)
        for level in reals
    }
    return {**distances, "average": sum(distances.values()) / len(distances)}
