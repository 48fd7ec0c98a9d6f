"""Grids with a line of text under each image."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pgan_tf.runs.grids import enlarge, make_grid

# Smaller images are enlarged to at least this side in pixels, so that there is room for text.
_LEAST_SIDE = 96
_TEXT_COLOR = 255


def captioned_grid(images: np.ndarray, captions: Sequence[str], columns: int) -> np.ndarray:
    """Arrange images row by row, each with a caption below it.

    Args:
      images: `[n h w c]` uint8; small ones are enlarged by a whole factor.
      captions: a text for each image, cut to its width.
      columns: images in a row.

    Returns:
      `[rows*(h' + text) columns*w' c]` uint8.
    """
    factor = -(-_LEAST_SIDE // images.shape[2])
    tiles = enlarge(images, factor)
    strips = np.stack([_strip(text, tiles.shape[2]) for text in captions])[..., np.newaxis]
    strips = strips.repeat(tiles.shape[3], axis=3)
    return make_grid(np.concatenate([tiles, strips], axis=1), columns)


def _strip(text: str, width: int) -> np.ndarray:
    """Return a line of light text on black, `[text width]` uint8."""
    size = max(10, width // 20)
    font = ImageFont.load_default(size)
    # Pillow's font has no other characters.
    shown = text.encode("latin-1", "replace").decode("latin-1")
    while shown and font.getbbox(shown)[2] > width - 2:
        shown = shown[:-1]
    strip = Image.new("L", (width, size + size // 2))
    if shown:
        ImageDraw.Draw(strip).text((1, size // 8), shown, _TEXT_COLOR, font)
    return np.asarray(strip)
