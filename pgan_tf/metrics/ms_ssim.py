"""Multi-scale structural similarity of pairs of images (Wang et al., 2003; section 5).

Between images of different latents, it is high if they vary little: a generator that makes the same
image of all latents has 1.
"""

import numpy as np

# Exponents of the scales, from the full resolution down (Wang et al., section 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MIN_SIDE = 2 ** (len(SCALE_WEIGHTS) - 1)

_RANGE = 255.0
_C1 = (0.01 * _RANGE) ** 2
_C2 = (0.03 * _RANGE) ** 2
_WINDOW_SIZE = 11
_WINDOW_SIGMA = 1.5


def ms_ssim(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the similarity of pairs of images.

    There are five scales, each half the previous one by 2x2 means; an odd side repeats its last
    pixel. Statistics are computed in an 11x11 Gaussian window of sigma 1.5, without borders; for a
    smaller image, the window is as large as its shorter side, and sigma shrinks in proportion.
    Channels have equal weight.

    Args:
      images: `[b h w c]` in 0..255, of any number type; no side is shorter than 16.
      others: likewise.

    Returns:
      `[b]` float64; 1 for equal images.

    Raises:
      ValueError: the shapes differ, or are too small for five scales.
    """
    if images.shape != others.shape or images.ndim != 4:
        raise ValueError(
            "ms_ssim takes two arrays of one shape, [b h w c]. "
            f"Received: {list(images.shape)} and {list(others.shape)}"
        )
    if min(images.shape[1:3]) < MIN_SIDE:
        raise ValueError(
            f"ms_ssim needs images of {MIN_SIDE}x{MIN_SIDE} or larger. "
            f"Received: {images.shape[2]}x{images.shape[1]}"
        )
    similarity = np.empty(len(images))
    for i in range(len(images)):  # one at a time stays in the processor's cache
        similarity[i] = _similarity(_planes(images[i]), _planes(others[i]))
    return similarity


def _planes(image: np.ndarray) -> np.ndarray:
    """Return `[h w c]` as `[c h w]` float64, which is faster to blur."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float64)


def _similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Return the similarity of two images `[c h w]`."""
    similarity = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        by_channel = np.array([_ssim(*planes) for planes in zip(first, second, strict=True)])
        full, structure = by_channel.mean(axis=0)
        last = scale == len(SCALE_WEIGHTS) - 1
        # A negative number has no such power; it means no similarity at all.
        similarity *= max(full if last else structure, 0.0) ** weight
        if not last:
            first, second = _halve(first), _halve(second)
    return similarity


def _ssim(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return SSIM of planes `[h w]`, and its contrast and structure alone; means over pixels."""
    window = _window(min(_WINDOW_SIZE, *first.shape))
    mean1, mean2 = _blur(first, window), _blur(second, window)
    means, squares = mean1 * mean2, mean1 * mean1 + mean2 * mean2
    variances = _blur(first * first + second * second, window) - squares
    covariance = _blur(first * second, window) - means
    structure = (2 * covariance + _C2) / (variances + _C2)
    luminance = (2 * means + _C1) / (squares + _C1)
    return float((luminance * structure).mean()), float(structure.mean())


def _window(size: int) -> np.ndarray:
    """Return one axis of the Gaussian window, `[size]`, with sum 1."""
    sigma = size * _WINDOW_SIGMA / _WINDOW_SIZE
    distance = np.arange(size) - (size - 1) / 2
    window = np.exp(-(distance**2) / (2 * sigma**2))
    return window / window.sum()


def _blur(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Filter `[h w]` by the window wherever it fits: `[h-size+1 w-size+1]`."""
    height, width = (side - len(window) + 1 for side in plane.shape)
    rows = _weighted([plane[i : i + height] for i in range(len(window))], window)
    return _weighted([rows[:, i : i + width] for i in range(len(window))], window)


def _weighted(arrays: list[np.ndarray], window: np.ndarray) -> np.ndarray:
    """Return the sum of arrays weighted by a window, which is symmetric."""
    result = np.zeros_like(arrays[0])
    for i in range(len(arrays) // 2):
        pair = arrays[i] + arrays[-1 - i]
        pair *= window[i]
        result += pair
    if len(arrays) % 2:
        result += window[len(arrays) // 2] * arrays[len(arrays) // 2]
    return result


def _halve(planes: np.ndarray) -> np.ndarray:
    """Return `[c h w]` reduced by 2x2 means."""
    height, width = planes.shape[1:]
    if height % 2 or width % 2:
        planes = np.pad(planes, [(0, 0), (0, height % 2), (0, width % 2)], mode="edge")
    rows = planes[:, ::2] + planes[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
