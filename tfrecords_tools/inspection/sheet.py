"""Contact sheets: many images in one picture, with a line of text under each."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecords_tools.errors import UserError
from tfrecords_tools.pictures import over_checkerboard, to_8_bits

# Tiny images are enlarged until their shorter side has about so many pixels, to be seen.
_VISIBLE_SIDE = 64
_MAX_PIXELS = 100_000_000
_GAP = 2
_TEXT_SIZE = 10
_TEXT_HEIGHT = 14
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def draw_sheet(
    images: np.ndarray, captions: Sequence[str] | None = None, columns: int | None = None
) -> Image.Image:
    """Draw images in rows, each enlarged by a whole factor.

    Args:
      images: [k C H W] uint8 or uint16. Transparent ones are drawn over a checkerboard.
      captions: a text for each image, cut to its width; None for no text.
      columns: images in a row; None makes the sheet about square.

    Raises:
      UserError: the picture would be too large.
    """
    count, _, *sides = images.shape
    factor = max(1, _VISIBLE_SIDE // min(sides))
    tile = (sides[1] * factor, sides[0] * factor)
    height = tile[1] + (_TEXT_HEIGHT if captions else 0)
    columns = min(count, columns or math.ceil(math.sqrt(count * tile[1] / tile[0])))
    rows = math.ceil(count / columns)
    size = (columns * (tile[0] + _GAP) + _GAP, rows * (height + _GAP) + _GAP)
    if size[0] * size[1] > _MAX_PIXELS:
        raise UserError(
            f"a sheet of {count} images of {sides[1]}x{sides[0]} would be"
            f" {size[0]}x{size[1]} pixels; choose fewer by --num_images or a smaller --resolution"
        )
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_SIZE)
    for number, image in enumerate(make_opaque(images)):
        left = _GAP + number % columns * (tile[0] + _GAP)
        top = _GAP + number // columns * (height + _GAP)
        picture = to_picture(image).resize(tile, Image.Resampling.NEAREST)
        sheet.paste(picture, (left, top))
        if captions:
            text = _shortened(captions[number], font, tile[0])
            pen.text((left + 1, top + tile[1]), text, _INK, font)
    return sheet


def stack(sheets: Sequence[Image.Image]) -> Image.Image:
    """Stack sheets one above the other."""
    size = max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)
    whole = Image.new("RGB", size, _PAPER)
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return whole


def to_picture(image: np.ndarray) -> Image.Image:
    """Convert an image [C H W] uint8, or uint16 of one channel, to Pillow's."""
    if len(image) == 1:
        return Image.fromarray(image[0])
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def make_opaque(images: np.ndarray) -> np.ndarray:
    """Lay images [k C H W] over a checkerboard where they have alpha: [k 1 or 3 H W] uint8."""
    laid = over_checkerboard(to_8_bits(images).transpose(0, 2, 3, 1))
    return laid.transpose(0, 3, 1, 2)


def enlarge(images: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge images [k C h w] by repeating pixels."""
    return images.repeat(factor, axis=2).repeat(factor, axis=3)


def _shortened(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    # The built-in font is Latin, and some versions of Pillow fail on other characters.
    text = text.encode("latin-1", "replace").decode("latin-1")
    while text and font.getbbox(text)[2] > width:
        text = text[:-1]
    return text
