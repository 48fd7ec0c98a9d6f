"""Colors where an image is fully transparent, which nobody sees but networks would learn."""

import numpy as np


def fill_transparent(image: np.ndarray) -> np.ndarray:
    """Give each fully transparent pixel the color of the nearest one that is not.

    The distance is that of steps along rows and columns. Files hold any colors there: black, white,
    or what an editor has erased. With the colors of the border, means of pixels, as lower levels
    are, have no seams.

    Args:
      image: [C H W] uint8 or uint16, whose last channel is alpha.

    Returns:
      [C H W] of the same type; an image without any visible pixel has the color 0.
    """
    *_, alpha = image
    visible = alpha > 0
    if visible.all():
        return image
    filled = image.copy()
    if visible.any():
        filled[:-1] = image[:-1].reshape(len(image) - 1, -1)[:, _nearest(visible)]
    else:
        filled[:-1] = 0
    return filled


def _nearest(wanted: np.ndarray) -> np.ndarray:
    """Return for each pixel the index, in the flattened image, of the nearest one that is wanted.

    Args:
      wanted: [H W] booleans, one of them True.

    Returns:
      [H W] int64.
    """
    height, width = wanted.shape
    far = height + width
    # A distance and an index in one number, whose minimum is that of the distances.
    index = np.arange(height * width).reshape(height, width)
    keys = np.where(wanted, index, far * wanted.size + index)
    for axis in (1, 0):
        steps = np.expand_dims(np.arange(keys.shape[axis]) * wanted.size, 1 - axis)
        before = np.minimum.accumulate(keys - steps, axis) + steps
        after = np.flip(np.minimum.accumulate(np.flip(keys + steps, axis), axis), axis) - steps
        keys = np.minimum(before, after)
    return keys % wanted.size
