"""From one image file to pixels of the pyramid's size.

docs/guide/data.md describes for users how each kind of file is treated.
"""

from types import MappingProxyType

import numpy as np
from PIL import Image

from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import (
    ImageFile,
    decoding,
    may_be_transparent,
    open_image,
    upright,
)
from tfrecords_tools.image_files.headers import check_size
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.image_files.transparency import fill_transparent

_FILTERS = MappingProxyType(
    {
        "lanczos": Image.Resampling.LANCZOS,
        "bicubic": Image.Resampling.BICUBIC,
        "bilinear": Image.Resampling.BILINEAR,
        "box": Image.Resampling.BOX,
        "nearest": Image.Resampling.NEAREST,
    }
)
_MODES = MappingProxyType({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"})
# Pillow's only mode of more than 8 bits that it scales without loss.
_MODE_OF_16_BITS = "F"
# 255 of 8 bits is 65535 of 16.
_SCALE_OF_16_BITS = 257


def read_pixels(file: ImageFile, policy: ImagePolicy, name: str | None = None) -> np.ndarray:
    """Decode a file, and make its image fit the policy.

    Args:
      file: the image's encoded bytes.
      policy: the size and channels to return, and how to get there.
      name: the file's name for errors; by default its path.

    Returns:
      [C H W] uint8, or uint16 for 16 bits.

    Raises:
      BadImageError: the file is damaged, or its image does not suit the policy.
    """
    name = name or str(file)
    with open_image(file, name, policy.max_pixels) as image:
        with decoding(name):
            image.load()
            image = upright(image)
            check_size(name, image.width, image.height, policy)
            plain = _converted(image, name, policy)
        pixels = _scaled(_cropped(plain, policy), policy)
    if policy.bits == 16:
        return np.rint(pixels).clip(0, 0xFFFF).astype(np.uint16)[None]
    if policy.channels == 1:
        return pixels[None]
    pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return fill_transparent(pixels) if policy.has_alpha else pixels


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
    with open_image(file, name, max_pixels=None) as image:
        if image.size != size:
            raise BadImageError(
                name,
                f"must be {size[0]}x{size[1]} pixels. Received: {image.width}x{image.height}",
            )
        with decoding(name):
            image.load()
            opaque = _without_alpha(_eight_bits(upright(image), name), ImagePolicy.background)
        pixels = np.asarray(opaque.convert("RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def is_transparent(file: ImageFile, max_pixels: int, name: str | None = None) -> bool:
    """Decode a file; return True if any of its pixels is not opaque.

    Args:
      file: the image's encoded bytes.
      max_pixels: the largest number of pixels that is accepted.
      name: the file's name for errors; by default its path.

    Raises:
      BadImageError: the file is damaged or its image too large.
    """
    name = name or str(file)
    with open_image(file, name, max_pixels) as image, decoding(name):
        image.load()
        image = _eight_bits(image, name)
        if not may_be_transparent(image):
            return False
        return bool((np.asarray(image.convert("RGBA").getchannel("A")) < 255).any())


def _converted(image: Image.Image, name: str, policy: ImagePolicy) -> Image.Image:
    """Return the image in the mode of the policy's channels and bits."""
    if policy.bits == 16:
        return _sixteen_bits(image, name, policy.background)
    image = _eight_bits(image, name)
    if policy.has_alpha:
        # In two steps where there is no alpha: some modes, as CMYK, become RGB alone.
        image = image.convert("RGBA" if may_be_transparent(image) else "RGB")
    else:
        image = _without_alpha(image, policy.background)
    mode = _MODES[policy.channels]
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit grays to 8 bits: round(value / 257). Pillow's own conversion clips them."""
    if not _has_wide_values(image, name):
        return image
    values = _wide_values(image, name)
    rounded = (values + _SCALE_OF_16_BITS // 2) // _SCALE_OF_16_BITS
    gray = Image.fromarray(rounded.astype(np.uint8))
    if not may_be_transparent(image):
        return gray
    alpha = np.where(values == image.info["transparency"], 0, 255)
    return Image.merge("LA", (gray, Image.fromarray(alpha.astype(np.uint8))))


def _sixteen_bits(image: Image.Image, name: str, background: tuple[int, int, int]) -> Image.Image:
    """Return an image of mode F, whose values 0..65535 are exact."""
    if _has_wide_values(image, name):
        values = _wide_values(image, name)
        if may_be_transparent(image):
            hidden = values == image.info["transparency"]
            values = np.where(hidden, _gray(background) * _SCALE_OF_16_BITS, values)
    else:
        grays = np.asarray(_without_alpha(image, background).convert("L"))
        values = grays.astype(np.int64) * _SCALE_OF_16_BITS
    return Image.fromarray(values.astype(np.float32))


def _has_wide_values(image: Image.Image, name: str) -> bool:
    """Return True for grays of more than 8 bits; refuse floating-point values."""
    if image.mode == "F":
        raise BadImageError(name, "has floating-point pixels, whose range is not known")
    return image.mode.startswith("I")


def _wide_values(image: Image.Image, name: str) -> np.ndarray:
    """Return values of 16 bits, [H W] int64."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise BadImageError(name, "has 32-bit pixels, whose range is not known")
    return values


def _without_alpha(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if not may_be_transparent(image):
        return image
    backdrop = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(backdrop, image.convert("RGBA")).convert("RGB")


def _cropped(image: Image.Image, policy: ImagePolicy) -> Image.Image:
    """Crop or pad an image to the policy's shape."""
    height, width = policy.cropped_size(image.height, image.width)
    if policy.crop == "pad" and (width, height) != image.size:
        padded = Image.new(image.mode, (width, height), _padding(image.mode, policy.background))
        padded.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return padded
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _scaled(image: Image.Image, policy: ImagePolicy) -> np.ndarray:
    """Scale an image to the policy's size; return its pixels, [H W] or [H W C]."""
    height, width = policy.size
    if (width, height) == image.size:
        return np.asarray(image)
    if policy.has_alpha and policy.resize != "nearest":
        return _scaled_with_alpha(image, (width, height), _FILTERS[policy.resize])
    return np.asarray(image.resize((width, height), _FILTERS[policy.resize]))


def _scaled_with_alpha(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling
) -> np.ndarray:
    """Scale colors weighted by alpha, so that those of transparent pixels don't bleed into others.

    Pillow does so in 8 bits, which leaves no more of the colors of faint pixels than noise.
    """
    alpha = np.asarray(image.getchannel("A"), np.float32)
    coverage = np.asarray(Image.fromarray(alpha).resize(size, resample))
    scaled = [coverage]
    for band in image.getbands()[:-1]:
        weighted = Image.fromarray(np.asarray(image.getchannel(band)) * alpha)
        color = np.asarray(weighted.resize(size, resample)) / np.maximum(coverage, 0.5)
        scaled.insert(-1, color)
    return np.rint(np.stack(scaled, axis=-1)).clip(0, 255).astype(np.uint8)


def _padding(mode: str, background: tuple[int, int, int]) -> float | tuple[int, ...]:
    """Return the value of pixels that pad an image: the background, or nothing with alpha."""
    if mode.endswith("A"):
        return (0,) * len(mode)
    if mode == "RGB":
        return background
    return _gray(background) * (_SCALE_OF_16_BITS if mode == _MODE_OF_16_BITS else 1)


def _gray(color: tuple[int, int, int]) -> int:
    return int(np.asarray(Image.new("RGB", (1, 1), color).convert("L")).item())
