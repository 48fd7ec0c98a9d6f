"""Sliced Wasserstein distance between patches of two sets of images (section 5 of the paper).

Small patches are cut out at random positions of each level of the images' Laplacian pyramids, from
the full resolution down to 16x16 (`patches.py`). The distance of a level is the Wasserstein
distance between the two distributions of patches, averaged over projections to random directions,
where it only takes sorting. It is small if the images are similar at that scale: the full
resolution shows sharpness and noise, 16x16 large shapes.
"""

import concurrent.futures
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from pgan_tf.metrics.patches import PATCH_SIZE, PATCHES_PER_IMAGE
from pgan_tf.metrics.spread import deviation, draw_rows

DIRECTION_REPEATS = 4
DIRECTIONS_PER_REPEAT = 128

# Keeps directions apart from the positions of patches.
_DIRECTIONS = 1
# Directions that are sorted at a time, and patches that are projected at a time.
_DIRECTIONS_AT_ONCE = 32
_PATCHES_AT_ONCE = 1 << 12
# Of the 512, those in which fakes are resampled: 20 replicates take half of the time of the
# distance. The mean of so few varies no less than that of all.
SPREAD_DIRECTIONS = 16
_SPREAD_DIRECTIONS_AT_ONCE = 4


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
    mean, deviation = _normalization(*_moments(patches, channels))
    scaled = directions.reshape(len(directions), channels, -1) / deviation[:, np.newaxis]
    offsets = -(scaled.sum(axis=2) @ mean)
    return scaled.reshape(directions.shape).astype(np.float32), offsets.astype(np.float32)


def _moments(patches: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the mean square of each channel of each block of patches, `[n c]`.

    A block is an image, or a patch where there are not 128 an image.
    """
    per_block = PATCHES_PER_IMAGE if len(patches) % PATCHES_PER_IMAGE == 0 else 1
    means, squares = np.empty((2, len(patches) // per_block, channels))
    step = max(1, _PATCHES_AT_ONCE // per_block)
    for start in range(0, len(means), step):
        rows = slice(start * per_block, (start + step) * per_block)
        block = patches[rows].reshape(-1, per_block, channels, PATCH_SIZE**2)
        values = per_block * PATCH_SIZE**2
        means[start : start + step] = block.sum((1, 3), np.float64) / values
        total = np.einsum("npcd,npcd->nc", block, block, dtype=np.float64)
        squares[start : start + step] = total / values
    return means, squares


def _normalization(means: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the deviation of each channel `[c]`, from the moments of blocks."""
    mean = means.mean(axis=0)
    deviation = np.sqrt(np.maximum(squares.mean(axis=0) - mean**2, 0))
    # A channel without contrast, as of a generator of black images, stays at 0.
    deviation[deviation < 1e-4] = np.inf
    return mean, deviation


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


def resampled_distances(
    reals: np.ndarray, fakes: np.ndarray, *, channels: int, seed: int, replicates: int
) -> np.ndarray:
    """Compute distances of resampled fakes from the reals, in the first of the directions.

    Whole images are resampled, since patches of an image are alike, and normalized anew each time.

    Args:
      reals: `[n * 128 channels * 49]` float32, 128 patches an image.
      fakes: likewise, as many.
      channels: 1 or 3.
      seed: of the directions, and of the choice of images.
      replicates: number of draws.

    Returns:
      `[replicates directions]` float64.
    """
    count = len(fakes) // PATCHES_PER_IMAGE
    draws = draw_rows(count, count, replicates, seed)
    means, squares = _moments(fakes, channels)
    normalizations = [_normalization(means[rows], squares[rows]) for rows in draws]
    directions = _directions(channels, seed)[:SPREAD_DIRECTIONS]
    weights, offsets = _fold_normalization(reals, directions, channels)
    by_channel = directions.reshape(len(directions), channels, -1)
    found = np.empty((replicates, len(directions)))

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, len(directions), _SPREAD_DIRECTIONS_AT_ONCE):
            chosen = slice(start, start + _SPREAD_DIRECTIONS_AT_ONCE)
            some = by_channel[chosen]
            ordered = np.empty((len(some), len(reals)), np.float32)
            _project(pool, reals, weights[chosen], offsets[chosen], ordered)
            list(pool.map(np.ndarray.sort, ordered))
            # A row for each direction and channel, since channels are normalized apart.
            apart = np.einsum("kcp,ce->kcep", some, np.eye(channels)).reshape(-1, fakes.shape[1])
            projections = np.empty((len(apart), len(fakes)), np.float32)
            offset = np.zeros(len(apart), np.float32)
            _project(pool, fakes, apart.astype(np.float32), offset, projections)
            by_image = projections.reshape(len(some), channels, count, PATCHES_PER_IMAGE)
            distance = functools.partial(
                _resampled_distance, ordered, by_image, some.sum(axis=2), draws, normalizations
            )
            tasks = list(np.ndindex(replicates, len(some)))
            found[:, chosen] = np.reshape(list(pool.map(distance, tasks)), (replicates, -1))
    return found


def _resampled_distance(
    ordered: np.ndarray,
    by_image: np.ndarray,
    sums: np.ndarray,
    draws: Sequence[np.ndarray],
    normalizations: Sequence[tuple[np.ndarray, np.ndarray]],
    task: tuple[int, int],
) -> float:
    """Return the distance of one replicate in one direction.

    Args:
      ordered: `[k n * 128]` sorted projections of the normalized reals.
      by_image: `[k channels n 128]` projections of each channel of the fakes, as they are.
      sums: `[k channels]` of the components of directions.
      draws: of each replicate, the numbers of images.
      normalizations: of each replicate, mean and deviation of the channels.
      task: number of the replicate, and of the direction.
    """
    replicate, number = task
    drawn = np.zeros(by_image.shape[2:], np.float32)
    scales = zip(by_image[number], sums[number], *normalizations[replicate], strict=True)
    for projections, total, mean, deviation_of_channel in scales:
        channel = projections[draws[replicate]]
        channel -= np.float32(total * mean)
        channel *= np.float32(1 / deviation_of_channel)
        drawn += channel
    return _sorted_difference(ordered[number], drawn.ravel())


def _sorted_difference(ordered: np.ndarray, values: np.ndarray) -> float:
    values.sort()
    values -= ordered
    return float(np.abs(values, out=values).mean(dtype=np.float64))


def swd_spread(
    reals: Mapping[str, np.ndarray],
    fakes: Mapping[str, np.ndarray],
    *,
    channels: int,
    seed: int = 0,
    replicates: int = 20,
) -> dict[str, float]:
    """Return the bootstrap's spread of every value of `swd`, over resampled fakes.

    Args:
      reals: see `swd`.
      fakes: see `swd`.
      channels: 1 or 3.
      seed: of the directions, and of the choice of images.
      replicates: number of draws, at least 2.
    """
    by_level = {
        level: 1000
        * resampled_distances(
            reals[level], fakes[level], channels=channels, seed=seed, replicates=replicates
        )
        for level in reals
    }
    # All levels are of the same images, and so vary together.
    by_level["average"] = np.mean(list(by_level.values()), axis=0)
    return {name: deviation(found.mean(axis=1)) for name, found in by_level.items()}


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
