"""Headers of image files: size, color and transparency, read without decoding pixels."""

import dataclasses
import struct
import zlib
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import (
    ImageFile,
    may_be_transparent,
    open_image,
    upright_size,
)
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.untrusted.regular_file import open_regular

# A PNG file's first 33 bytes: signature, width, height, bits of a value, color type, compression
# and other methods, checksum.
_PNG_HEADER = struct.Struct(">16sIIBB3sI")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_PNG_BITS_AND_COLOR_TYPES = frozenset(
    {(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3)}
    | {(8, 4), (16, 4), (8, 6), (16, 6)}
)
_PNG_GRAY_COLOR_TYPES = frozenset({0, 4})
_PNG_ALPHA_COLOR_TYPES = frozenset({4, 6})
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_CHECKSUM_BYTES = 4
# Enough for the chunks before the pixels of nearly every PNG file.
_PNG_START_BYTES = 4096
# Texts in which programs keep the orientation.
_PNG_ORIENTING_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of an image file, read before its pixels.

    Attributes:
      width: in pixels, of the upright image.
      height: in pixels.
      gray: True for a grayscale image.
      has_alpha: True if it has an alpha channel or a transparent color. Its pixels may all be
        opaque.
    """

    width: int
    height: int
    gray: bool
    has_alpha: bool


def read_header(file: ImageFile, max_pixels: int, name: str | None = None) -> Header:
    """Read a file's header, which in most formats is at the beginning.

    Args:
      file: the image's encoded bytes.
      max_pixels: the largest number of pixels that is accepted.
      name: the file's name for errors; by default its path.

    Raises:
      BadImageError: it is not an image, or too large.
    """
    header = _png_header(file)
    if header is not None and header.width * header.height <= max_pixels:
        return header
    with open_image(file, name or str(file), max_pixels) as image:
        width, height = upright_size(image)
        return Header(width, height, image.mode in _GRAY_MODES, may_be_transparent(image))


def check_size(name: str, width: int, height: int, policy: ImagePolicy) -> None:
    """Refuse an image whose size does not suit the policy.

    Args:
      name: the file's name for the error.
      width: of the upright image.
      height: of the upright image.
      policy: the size to make.

    Raises:
      BadImageError: it is of another shape, which the policy refuses, or too small.
    """
    size, wanted = f"is {width}x{height} pixels", policy.base.text_at(policy.resolution)
    if policy.crop == "none" and not policy.has_shape(height, width):
        raise BadImageError(
            name,
            f"{size}, not square; use --crop=center or --crop=pad"
            if policy.base.is_square
            else f"{size}, not of the shape of {wanted}; use --crop=center, pad or stretch",
        )
    cropped = policy.cropped_size(height, width)
    too_small = any(side < least for side, least in zip(cropped, policy.size, strict=True))
    if too_small and not policy.allow_upscale:
        raise BadImageError(
            name,
            f"{size}, too small for {wanted}; use a smaller --resolution, or --allow_upscale to"
            " enlarge such images",
        )


def _png_header(file: ImageFile) -> Header | None:
    """Read the header of a PNG file, several times as fast as Pillow.

    Returns:
      None for other files, and for unusual or damaged ones, which are left to Pillow.
    """
    try:
        if isinstance(file, Path):
            with open_regular(file, buffering=0) as opened:
                start = opened.read(_PNG_START_BYTES)
        else:
            start = file.read(_PNG_START_BYTES)
            file.seek(0)
        magic, width, height, bits, color_type, _, crc = _PNG_HEADER.unpack_from(start)
    except (OSError, UserError, struct.error):
        return None
    known = magic == _PNG_MAGIC and (bits, color_type) in _PNG_BITS_AND_COLOR_TYPES
    if not known or crc != zlib.crc32(start[12:29]) or not width or not height:
        return None
    has_transparent_color = _find_transparent_color(start)
    if has_transparent_color is None:
        return None
    has_alpha = color_type in _PNG_ALPHA_COLOR_TYPES or has_transparent_color
    return Header(width, height, color_type in _PNG_GRAY_COLOR_TYPES, has_alpha)


def _find_transparent_color(start: bytes) -> bool | None:
    """Return True if one of the chunks before a PNG's pixels makes colors transparent.

    Args:
      start: the file's beginning.

    Returns:
      None if the pixels are not reached, or a chunk may hold an orientation.
    """
    at, found = _PNG_HEADER.size, False
    while at + _PNG_CHUNK.size <= len(start):
        size, kind = _PNG_CHUNK.unpack_from(start, at)
        at += _PNG_CHUNK.size
        if kind == b"IDAT":
            return found
        if kind == b"eXIf" or start.startswith(_PNG_ORIENTING_TEXTS, at):
            return None
        found = found or kind == b"tRNS"
        at += size + _PNG_CHECKSUM_BYTES
    return None
