"""Images made ready to look at: transparent ones over a background, 16 bits as 8. NumPy only."""

import numpy as np

from tfrecords_tools.shape import has_alpha

_LIGHT, _DARK = 255, 204
# Fields of the checkerboard along the shorter side of an image.
_FIELDS = 8


def over_checkerboard(images: np.ndarray) -> np.ndarray:
    """Lay images over a checkerboard of light grays, which shows where they are transparent.

    Args:
      images: [... h w c] uint8. With 2 or 4 channels, the last is alpha.

    Returns:
      [... h w 1 or 3] uint8: images without alpha as they are.
    """
    height, width = images.shape[-3:-1]
    side = max(1, min(height, width) // _FIELDS)
    odd = (np.arange(height)[:, None] // side + np.arange(width) // side) % 2
    return _over(images, np.where(odd, _DARK, _LIGHT)[..., None])


def over_white(images: np.ndarray) -> np.ndarray:
    """Lay images over white.

    Args:
      images: [... h w c] uint8. With 2 or 4 channels, the last is alpha.

    Returns:
      [... h w 1 or 3] uint8: images without alpha as they are.
    """
    return _over(images, np.full((1, 1, 1), 255))


def to_8_bits(images: np.ndarray) -> np.ndarray:
    """Round values of 16 bits to 8: 65535 becomes 255. Values of 8 bits stay as they are."""
    if images.dtype == np.uint8:
        return images
    return ((images.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _over(images: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Lay uint8 images [... h w c] over a background that broadcasts to [... h w 1]."""
    if not has_alpha(images.shape[-1]):
        return images
    colors, alpha = images[..., :-1].astype(np.uint16), images[..., -1:].astype(np.uint16)
    mixed = colors * alpha + background.astype(np.uint16) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)
