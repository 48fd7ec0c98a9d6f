"""Image files opened with Pillow, on this project's terms."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from PIL import Image, ImageOps, PngImagePlugin

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.untrusted.regular_file import open_regular

# An image's encoded bytes: a file, or an open, seekable stream.
ImageFile = Path | BinaryIO

# A list, so that a file's contents cannot choose a decoder that runs programs (PostScript).
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000")
EXTENSIONS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".gif"}
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"}
)
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
# By Pillow's names of their decoders, grays of 2 and 4 bits in a PNG, which it scales to 8.
_SCALES_OF_FEW_BITS = MappingProxyType({"L;2": 85, "L;4": 17})
_EXIF_ORIENTATION = 0x0112
# Orientations of images whose rows are columns of what is seen.
_TURNED = range(5, 9)
# Of a PNG's texts and color profile, unpacked: far more than programs write, and a bomb's limit.
_MAX_TEXT_BYTES = 64 << 20


def max_file_bytes(max_pixels: int) -> int:
    """Largest plausible size of a file of so many pixels.

    Four uncompressed channels of 16 bits, and a megabyte of other data.
    """
    return 8 * max_pixels + (1 << 20)


@contextlib.contextmanager
def open_image(file: ImageFile, name: str, max_pixels: int | None) -> Iterator[Image.Image]:
    """Open a file, whose pixels are decoded later.

    Args:
      file: the image's encoded bytes.
      name: the file's name for errors.
      max_pixels: the largest number of pixels that is accepted; None for any.

    Yields:
      The image. Pillow's limits and warnings are off meanwhile: ours count.

    Raises:
      BadImageError: it is not an image, or too large.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_our_terms)
        try:
            stream = stack.enter_context(open_regular(file)) if isinstance(file, Path) else file
            image = stack.enter_context(Image.open(stream, formats=FORMATS))
        except UserError as error:
            raise BadImageError(name, "is not a file, but a pipe, a device or a socket") from error
        except Exception as error:
            raise _undecodable(name, error) from error
        if max_pixels is not None and image.width * image.height > max_pixels:
            raise BadImageError(
                name,
                f"has {image.width}x{image.height} pixels, more than --max_pixels={max_pixels}",
            )
        if "transparency" in image.info and image.format == "PNG":
            image.info["transparency"] = _as_decoded(image)
        yield image


@contextlib.contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn any failure of a decoder, of which each fails in its own way, into a BadImageError."""
    try:
        yield
    except BadImageError:
        raise
    except Exception as error:
        raise _undecodable(name, error) from error


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; an unreadable EXIF block is ignored."""
    try:
        if image.getexif().get(_EXIF_ORIENTATION, 1) == 1:
            return image  # exif_transpose would copy it
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height of an image that is not decoded, when it is upright."""
    with contextlib.suppress(Exception):
        # The PNG reader's own method would decode the image. The TIFF reader turns the size itself.
        orientation = Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1)
        if orientation in _TURNED and image.format != "TIFF":
            return image.height, image.width
    return image.size


def may_be_transparent(image: Image.Image) -> bool:
    """Return True if an image has an alpha channel or a transparent color."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def _as_decoded(image: Image.Image) -> Any:
    """Return a PNG's transparent color in the values of decoded pixels.

    Pillow gives it as the file does, whatever the bits of the file's values.
    """
    color, tiles = image.info["transparency"], getattr(image, "tile", None)
    decoder = tiles[0][3] if tiles else ""
    if decoder in _SCALES_OF_FEW_BITS and isinstance(color, int):
        return color * _SCALES_OF_FEW_BITS[decoder]
    if decoder == "RGB;16B" and isinstance(color, tuple):
        return tuple(value >> 8 for value in color)  # as the pixels, of which the high byte is kept
    return color


class _OurTerms:
    """Pillow without its limit of pixels and its warnings: `max_pixels` and our errors count.

    PNGs with long texts, in which programs keep how an image was made, are accepted too. These are
    settings of the process, so the first of several threads switches and the last switches back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._switch()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.close()

    def _switch(self) -> None:
        for module, name, value in (
            (Image, "MAX_IMAGE_PIXELS", None),
            (PngImagePlugin, "MAX_TEXT_CHUNK", _MAX_TEXT_BYTES),
            (PngImagePlugin, "MAX_TEXT_MEMORY", _MAX_TEXT_BYTES),
        ):
            self._before.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        self._before.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")


_our_terms = _OurTerms()


def _undecodable(name: str, error: Exception) -> BadImageError:
    if isinstance(error, Image.UnidentifiedImageError):
        return BadImageError(name, "is not an image, or damaged")
    if isinstance(error, OSError) and error.strerror:
        return BadImageError(name, f"cannot be read: {error.strerror}")
    if isinstance(error, MemoryError):
        return BadImageError(name, "takes too much memory")
    return BadImageError(name, f"is damaged: {str(error) or type(error).__name__}")
