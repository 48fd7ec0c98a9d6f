"""Colors where an image is fully transparent, which nobody sees but networks would learn."""

import numpy as np


def fill_transparent(image: np.ndarray) -> np.ndarray:
    """Give fully transparent pixels the colors of what is visible around them.

    Files hold any colors there: black, white, or what an editor has erased. A transparent pixel
    gets the mean, weighted by alpha, of the smallest block around it in which anything is visible:
    of 2x2 pixels, 4x4, and so on, as lower levels have them, at last of the whole image. So colors
    have no seams, and nothing transparent has details that a lower level does not have.

    Args:
      image: [C H W] uint8 or uint16, whose last channel is alpha.

    Returns:
      [C H W] of the same type; an image without any visible pixel has the color 0.
    """
    alpha = image[-1:]
    if (alpha > 0).all():
        return image
    weighted = np.concatenate([image[:-1].astype(np.float32) * alpha, alpha])
    levels = [weighted]
    while weighted.shape[1] % 2 == weighted.shape[2] % 2 == 0:
        rows = weighted[:, 0::2] + weighted[:, 1::2]
        weighted = rows[:, :, 0::2] + rows[:, :, 1::2]
        levels.append(weighted)
    colors = _means(weighted.sum(axis=(1, 2), keepdims=True))
    colors = np.where(weighted[-1] > 0, _means(weighted), colors)
    for level in reversed(levels[:-1]):
        colors = colors.repeat(2, axis=1).repeat(2, axis=2)
        colors = np.where(level[-1] > 0, _means(level), colors)
    filled = image.copy()
    filled[:-1] = np.where(alpha > 0, image[:-1], np.rint(colors))
    return filled


def _means(weighted: np.ndarray) -> np.ndarray:
    """Return colors from their sums weighted by alpha, and those of alpha; 0 where all are 0."""
    return weighted[:-1] / np.maximum(weighted[-1], 1)
