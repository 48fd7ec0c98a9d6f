"""Multi-scale structural similarity (Wang et al., 2003): how alike pairs of images are (section 5).

Between images that a network drew of different latents it tells how little they vary: a network
that draws one image over and over has 1.
"""

import numpy as np

# How much each scale counts, from the full resolution down (Wang et al., section 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MIN_RESOLUTION = 2 ** (len(SCALE_WEIGHTS) - 1)

_RANGE = 255.0
_C1 = (0.01 * _RANGE) ** 2
_C2 = (0.03 * _RANGE) ** 2
_WINDOW_SIZE = 11
_WINDOW_SIGMA = 1.5


def ms_ssim(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The similarity of each image to the other one of its pair.

    Five scales, each half the one before by 2x2 means; statistics are taken within an 11x11
    Gaussian window of sigma 1.5, without borders; where an image is smaller, the window is as large
    as it and its sigma shrinks alike. Channels count equally.

    Args:
      images: `[b h w c]` in 0..255, of any number type; a square of a power of two from 16.
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
    if min(images.shape[1:3]) < MIN_RESOLUTION:
        raise ValueError(
            f"ms_ssim needs images of {MIN_RESOLUTION}x{MIN_RESOLUTION} or larger. "
            f"Received: {images.shape[1]}x{images.shape[2]}"
        )
    similarity = np.empty(len(images))
    for i in range(len(images)):  # one at a time stays nearer to the processor
        similarity[i] = _similarity(_planes(images[i]), _planes(others[i]))
    return similarity


def _planes(image: np.ndarray) -> np.ndarray:
    """`[h w c]` as `[c h w]` float64, which is faster to blur."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float64)


def _similarity(first: np.ndarray, second: np.ndarray) -> float:
    """The similarity of two images `[c h w]`."""
    similarity = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        parts = np.array([_ssim(*planes) for planes in zip(first, second, strict=True)])
        whole, structure = parts.mean(axis=0)
        last = scale == len(SCALE_WEIGHTS) - 1
        # Below 0 it has no power; such images are as unlike as can be.
        similarity *= max(whole if last else structure, 0.0) ** weight
        if not last:
            first, second = _halve(first), _halve(second)
    return similarity


def _ssim(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Of planes `[h w]`: similarity, and that of contrast and structure alone; means of pixels."""
    window = _window(min(_WINDOW_SIZE, *first.shape))
    mean1, mean2 = _blur(first, window), _blur(second, window)
    means, squares = mean1 * mean2, mean1 * mean1 + mean2 * mean2
    variances = _blur(first * first + second * second, window) - squares
    covariance = _blur(first * second, window) - means
    structure = (2 * covariance + _C2) / (variances + _C2)
    luminance = (2 * means + _C1) / (squares + _C1)
    return float((luminance * structure).mean()), float(structure.mean())


def _window(size: int) -> np.ndarray:
    """One axis of the Gaussian; `[size]`, of sum 1."""
    sigma = size * _WINDOW_SIGMA / _WINDOW_SIZE
    distance = np.arange(size) - (size - 1) / 2
    window = np.exp(-(distance**2) / (2 * sigma**2))
    return window / window.sum()


def _blur(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """`[h w]` under the window wherever it fits: `[h-size+1 w-size+1]`."""
    height, width = (side - len(window) + 1 for side in plane.shape)
    rows = _weighted([plane[i : i + height] for i in range(len(window))], window)
    return _weighted([rows[:, i : i + width] for i in range(len(window))], window)


def _weighted(parts: list[np.ndarray], window: np.ndarray) -> np.ndarray:
    """The sum of parts by a window's weights, which are the same from both ends."""
    result = np.zeros_like(parts[0])
    for i in range(len(parts) // 2):
        pair = parts[i] + parts[-1 - i]
        pair *= window[i]
        result += pair
    if len(parts) % 2:
        result += window[len(parts) // 2] * parts[len(parts) // 2]
    return result


def _halve(planes: np.ndarray) -> np.ndarray:
    rows = planes[:, ::2] + planes[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
