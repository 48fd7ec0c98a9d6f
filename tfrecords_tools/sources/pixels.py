"""From one image file to pixels of the pyramid's size.

docs/guide/data.md describes for users how each kind of file is treated.
"""

import contextlib
import dataclasses
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.base import BadImageError
from tfrecords_tools.untrusted.regular_file import open_regular

# An image's encoded bytes: a file, or an open, seekable stream.
ImageFile = Path | BinaryIO
Crop = Literal["center", "pad", "none"]
Resize = Literal["lanczos", "bicubic", "bilinear", "box", "nearest"]

# A list, so that a file's contents cannot choose a decoder that runs programs (PostScript).
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000")
EXTENSIONS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".gif"}
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"}
)
_FILTERS = MappingProxyType(
    {
        "lanczos": Image.Resampling.LANCZOS,
        "bicubic": Image.Resampling.BICUBIC,
        "bilinear": Image.Resampling.BILINEAR,
        "box": Image.Resampling.BOX,
        "nearest": Image.Resampling.NEAREST,
    }
)
# A PNG file's first 33 bytes: signature, width, height, bits of a value, color type, compression
# and other methods, checksum.
_PNG_HEADER = struct.Struct(">16sIIBB3sI")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_PNG_BITS_AND_COLOR_TYPES = frozenset(
    {(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3)}
    | {(8, 4), (16, 4), (8, 6), (16, 6)}
)
_PNG_GRAY_COLOR_TYPES = frozenset({0, 4})
_EXIF_ORIENTATION = 0x0112
# Of a PNG's texts and color profile, unpacked: far more than programs write, and a bomb's limit.
_MAX_TEXT_BYTES = 64 << 20
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})


@dataclasses.dataclass(frozen=True)
class ImagePolicy:
    """The conversion of files to images of one size and number of channels.

    The manifest records these fields by their names.

    Attributes:
      channels: 1 or 3.
      resolution: side of the result in pixels.
      crop: "center" takes the largest centered square, "pad" adds background to make a square,
        "none" accepts square images only.
      resize: the filter that scales the square to the resolution.
      background: RGB, 0..255, the color of padding and behind transparent pixels.
      max_pixels: files with more pixels are refused before they are decoded.
      allow_upscale: enlarge images smaller than the resolution, instead of refusing them.
    """

    channels: int
    resolution: int
    crop: Crop = "center"
    resize: Resize = "lanczos"
    background: tuple[int, int, int] = (255, 255, 255)
    max_pixels: int = 100_000_000
    allow_upscale: bool = False


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of an image file, read before its pixels.

    Attributes:
      width: in pixels.
      height: in pixels.
      gray: True for a grayscale image.
    """

    width: int
    height: int
    gray: bool

    def square_side(self, crop: Crop) -> int:
        """Return the side in pixels of the square that cropping leaves."""
        return (max if crop == "pad" else min)(self.width, self.height)


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
    with _pillow_on_our_terms(), _open(file, name or str(file), max_pixels) as image:
        return Header(image.width, image.height, image.mode in _GRAY_MODES)


def _png_header(file: ImageFile) -> Header | None:
    """Read the header of a PNG file, several times as fast as Pillow.

    Returns:
      None for other files, and for unusual or damaged ones, which are left to Pillow.
    """
    try:
        if isinstance(file, Path):
            with open_regular(file, buffering=0) as opened:
                start = opened.read(_PNG_HEADER.size)
        else:
            start = file.read(_PNG_HEADER.size)
            file.seek(0)
        magic, width, height, bits, color_type, _, crc = _PNG_HEADER.unpack(start)
    except (OSError, UserError, struct.error):
        return None
    known = magic == _PNG_MAGIC and (bits, color_type) in _PNG_BITS_AND_COLOR_TYPES
    if not known or crc != zlib.crc32(start[12:29]) or not width or not height:
        return None
    return Header(width, height, gray=color_type in _PNG_GRAY_COLOR_TYPES)


def check_size(name: str, header: Header, policy: ImagePolicy) -> None:
    """Refuse an image whose size does not suit the policy.

    Raises:
      BadImageError: it is not square, or too small.
    """
    size = f"is {header.width}x{header.height} pixels"
    if policy.crop == "none" and header.width != header.height:
        raise BadImageError(name, f"{size}, not square; use --crop=center or --crop=pad")
    if header.square_side(policy.crop) < policy.resolution and not policy.allow_upscale:
        raise BadImageError(
            name,
            f"{size}, too small for {policy.resolution}x{policy.resolution}; use a smaller"
            " --resolution, or --allow_upscale to enlarge such images",
        )


def read_pixels(file: ImageFile, policy: ImagePolicy, name: str | None = None) -> np.ndarray:
    """Decode a file, and make its image fit the policy.

    Args:
      file: the image's encoded bytes.
      policy: the size and channels to return, and how to get there.
      name: the file's name for errors; by default its path.

    Returns:
      [channels resolution resolution] uint8.

    Raises:
      BadImageError: the file is damaged, or its image does not suit the policy.
    """
    name = name or str(file)
    with _pillow_on_our_terms(), _open(file, name, policy.max_pixels) as image:
        check_size(name, Header(image.width, image.height, gray=False), policy)
        plain = _decoded(image, name, policy.background)
        mode = "L" if policy.channels == 1 else "RGB"
        square = _fit(plain if plain.mode == mode else plain.convert(mode), policy)
    pixels = np.asarray(square)
    return pixels[None] if policy.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_rgb(file: ImageFile, size: tuple[int, int], name: str | None = None) -> np.ndarray:
    """Decode a file whose image must already have a given size.

    Args:
      file: the image's encoded bytes.
      size: width and height in pixels.
      name: the file's name for errors; by default its path.

    Returns:
      [3 height width] uint8.

    Raises:
      BadImageError: the file is damaged, or its image of another size.
    """
    name = name or str(file)
    with _pillow_on_our_terms(), _open(file, name, max_pixels=None) as image:
        if image.size != size:
            raise BadImageError(
                name,
                f"must be {size[0]}x{size[1]} pixels. Received: {image.width}x{image.height}",
            )
        pixels = np.asarray(_decoded(image, name, ImagePolicy.background).convert("RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextlib.contextmanager
def _pillow_on_our_terms() -> Iterator[None]:
    """Switch off Pillow's limit of pixels and its warnings: `max_pixels` and our errors count.

    Also accept PNGs with long texts, in which programs keep how an image was made.
    """
    limit = Image.MAX_IMAGE_PIXELS
    text_limits = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = _MAX_TEXT_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = text_limits


@contextlib.contextmanager
def _open(file: ImageFile, name: str, max_pixels: int | None) -> Iterator[Image.Image]:
    with contextlib.ExitStack() as stack:
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
        yield image


def _decoded(image: Image.Image, name: str, background: tuple[int, int, int]) -> Image.Image:
    """Return the image in 8 bits, upright and opaque."""
    try:
        image.load()
        return _without_alpha(_eight_bits(_upright(image), name), background)
    except BadImageError:
        raise
    except Exception as error:  # a decoder fails in any way on a damaged file
        raise _undecodable(name, error) from error


def _undecodable(name: str, error: Exception) -> BadImageError:
    if isinstance(error, Image.UnidentifiedImageError):
        return BadImageError(name, "is not an image, or damaged")
    if isinstance(error, OSError) and error.strerror:
        return BadImageError(name, f"cannot be read: {error.strerror}")
    if isinstance(error, MemoryError):
        return BadImageError(name, "takes too much memory")
    return BadImageError(name, f"is damaged: {str(error) or type(error).__name__}")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; an unreadable EXIF block is ignored."""
    try:
        if image.getexif().get(_EXIF_ORIENTATION, 1) == 1:
            return image  # exif_transpose would copy it
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit grays to 8 bits: round(value / 257). Pillow's own conversion clips them."""
    if image.mode == "F":
        raise BadImageError(name, "has floating-point pixels, whose range is not known")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise BadImageError(name, "has 32-bit pixels, whose range is not known")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _without_alpha(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode not in _ALPHA_MODES and "transparency" not in image.info:
        return image
    backdrop = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(backdrop, image.convert("RGBA")).convert("RGB")


def _fit(image: Image.Image, policy: ImagePolicy) -> Image.Image:
    """Make an image of mode L or RGB square, then scale it to the resolution."""
    width, height = image.size
    if width != height and policy.crop == "pad":
        side = max(width, height)
        fill = Image.new("RGB", (1, 1), policy.background).convert(image.mode).getpixel((0, 0))
        padded = Image.new(image.mode, (side, side), fill)
        padded.paste(image, ((side - width) // 2, (side - height) // 2))
        image = padded
    elif width != height:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.width == policy.resolution:
        return image
    return image.resize((policy.resolution, policy.resolution), _FILTERS[policy.resize])
