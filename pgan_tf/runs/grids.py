"""Latents, images, grids of images and PNG files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tfrecords_tools.files import whole_file
from tfrecords_tools.pictures import over_checkerboard, to_8_bits

if TYPE_CHECKING:
    import tensorflow as tf

# latents [b latent_size], labels [b n] or None -> images [b h w c]: float32 in [-1, 1], or uint8
# or uint16 if quantized
Generate = Callable[[np.ndarray, np.ndarray | None], np.ndarray]

# A grid fits a screen, as the original's does, but has at least 4 columns and 2 rows.
_SCREEN_WIDTH, _SCREEN_HEIGHT = 1920, 1080


def draw_latents(count: int, latent_size: int, *, seed: int) -> np.ndarray:
    """Draw `[count latent_size]` float32, standard normal; row i does not depend on `count`."""
    return np.random.default_rng(seed).standard_normal([count, latent_size]).astype(np.float32)


def generate_images(
    generate: Generate, latents: np.ndarray, labels: np.ndarray | None, *, batch_size: int
) -> Iterator[np.ndarray]:
    """Generate images batch by batch.

    Args:
      generate: the generator, which returns integers (`quantize`).
      latents: `[n latent_size]`.
      labels: `[n label_size]`, or None.
      batch_size: the most images at a time, which bounds the memory.

    Yields:
      `[b h w c]` of the generator's type, in order, n images in all.
    """
    for start in range(0, len(latents), batch_size):
        chosen = slice(start, start + batch_size)
        yield generate(latents[chosen], None if labels is None else labels[chosen])


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Convert floats in [-1, 1] to uint8 in [0, 255], rounded; values outside are clipped."""
    return _to_levels(images, 255).astype(np.uint8)


def to_uint16(images: np.ndarray) -> np.ndarray:
    """Convert floats in [-1, 1] to uint16 in [0, 65535], rounded; values outside are clipped."""
    return _to_levels(images, 65535).astype(np.uint16)


def _to_levels(images: np.ndarray, highest: int) -> np.ndarray:
    levels = np.rint((np.asarray(images, np.float32) + 1.0) * np.float32(highest / 2))
    return np.clip(levels, 0, highest)


def quantize(images: "tf.Tensor", bits: int = 8) -> "tf.Tensor":
    """Return `to_uint8` of a tensor, computed on its device: a quarter as much to copy from it.

    Args:
      images: floats in [-1, 1]; values outside are clipped.
      bits: of a value, 8; or 16, for `to_uint16`.
    """
    import tensorflow as tf

    highest = 2.0**bits - 1.0
    levels = tf.round((tf.cast(images, tf.float32) + 1.0) * (highest / 2))
    return tf.cast(tf.clip_by_value(levels, 0.0, highest), tf.uint8 if bits == 8 else tf.uint16)


def to_display(images: np.ndarray) -> np.ndarray:
    """Return images as grids show them: of 8 bits, and transparent ones over a checkerboard.

    Args:
      images: `[... h w c]` uint8 or uint16.

    Returns:
      `[... h w 1 or 3]` uint8.
    """
    return over_checkerboard(to_8_bits(images))


def grid_size(height: int, width: int, label_size: int = 0) -> tuple[int, int]:
    """Return the number of columns and of rows of a run's grids.

    Args:
      height: of the images, in pixels.
      width: of the images, in pixels.
      label_size: number of classes; with up to 16 of them, each row shows one class.
    """
    columns = int(np.clip(_SCREEN_WIDTH // width, 4, 16))
    rows = int(np.clip(_SCREEN_HEIGHT // height, 2, 10))
    if 0 < label_size <= 16:
        rows = label_size
    return columns, rows


def make_grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Arrange `[n h w c]` images row by row into `[rows*h columns*w c]`; empty cells are black."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    padded = np.zeros([rows * columns, height, width, channels], images.dtype)
    padded[:count] = images
    grid = padded.reshape([rows, columns, height, width, channels]).transpose(0, 2, 1, 3, 4)
    return grid.reshape([rows * height, columns * width, channels])


def enlarge(images: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel of `[n h w c]` images factor x factor."""
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an image, whole or not at all.

    Args:
      path: of the file.
      image: `[h w c]` uint8: grayscale, grayscale with alpha, RGB or RGBA; or `[h w 1]` uint16.
    """
    squeezed = image[:, :, 0] if image.shape[2] == 1 else image
    # Some file systems write a file to the disk at once if it has been truncated.
    with whole_file(path) as temporary, temporary.open("r+b") as file:
        Image.fromarray(squeezed).save(file, format="PNG")
