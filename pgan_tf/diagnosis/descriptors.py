"""Descriptors of images without a network: thumbnails, and patches in random directions.

In NumPy, and small enough for one core, as they are computed while the devices wait.
"""

import numpy as np

_THUMBNAIL = 16
_PATCH = 4
_PATCHES = 32
_DIRECTIONS = 32


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Return images `[n h w c]` with a shorter side of about 16, by means, as `[n d]` float32."""
    count, height, width, channels = images.shape
    factor = 1
    while min(height, width) // factor >= 2 * _THUMBNAIL and not (height | width) // factor % 2:
        factor *= 2
    blocks = images.reshape(count, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def distances(descriptors: np.ndarray) -> np.ndarray:
    """Return the root mean squared differences `[n n]` of descriptors `[n d]`."""
    # Not by a matrix product: for few rows, waking the threads of one takes longer.
    return np.stack([np.sqrt(np.square(descriptors - row).mean(axis=1)) for row in descriptors])


def patch_distance(reals: np.ndarray, fakes: np.ndarray, *, seed: int) -> float:
    """Compute the sliced Wasserstein distance between patches of reals and of fakes.

    Patches of 4x4 are cut out at random positions, 32 of each image, and projected to 32 random
    directions. In units of the standard deviation of reals' pixels.

    Args:
      reals: `[n h w c]`.
      fakes: `[n h w c]`.
      seed: of the positions.
    """
    random = np.random.default_rng(seed)
    first, second = _cut(reals, random), _cut(fakes, random)
    deviation = max(float(first.std()), 1e-4)
    directions = np.random.default_rng(0).standard_normal((_DIRECTIONS, first.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total = 0.0
    for direction in directions.astype(np.float32):
        gaps = np.sort((first * direction).sum(axis=1)) - np.sort((second * direction).sum(axis=1))
        total += float(np.abs(gaps).mean())
    return total / (_DIRECTIONS * deviation)


def _cut(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return patches `[n * 32 d]` of images `[n h w c]`."""
    count, height, width, _ = images.shape
    windows = np.lib.stride_tricks.sliding_window_view(images, (_PATCH, _PATCH), axis=(1, 2))
    y = random.integers(0, height - _PATCH + 1, count * _PATCHES)
    x = random.integers(0, width - _PATCH + 1, count * _PATCHES)
    chosen = windows[np.repeat(np.arange(count), _PATCHES), y, x]
    return np.ascontiguousarray(chosen.reshape(len(chosen), -1), np.float32)
