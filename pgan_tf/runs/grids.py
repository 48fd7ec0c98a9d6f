"""Latents, images, grids of images and PNG files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tfrecords_tools.files import whole_file

if TYPE_CHECKING:
    import tensorflow as tf

# latents [b latent_size], labels [b n] or None -> images [b h w c], float32 in [-1, 1] or uint8
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
      generate: the generator, which returns uint8 (`quantize`).
      latents: `[n latent_size]`.
      labels: `[n label_size]`, or None.
      batch_size: the most images at a time, which bounds the memory.

    Yields:
      `[b h w c]` uint8, in order, n images in all.
    """
    for start in range(0, len(latents), batch_size):
        chosen = slice(start, start + batch_size)
        yield generate(latents[chosen], None if labels is None else labels[chosen])


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Convert floats in [-1, 1] to uint8 in [0, 255], rounded; values outside are clipped."""
    return np.clip(np.rint((np.asarray(images, np.float32) + 1.0) * 127.5), 0, 255).astype(np.uint8)


def quantize(images: "tf.Tensor") -> "tf.Tensor":
    """Return `to_uint8` of a tensor, computed on its device: a quarter as much to copy from it."""
    import tensorflow as tf

    levels = tf.round((tf.cast(images, tf.float32) + 1.0) * 127.5)
    return tf.cast(tf.clip_by_value(levels, 0.0, 255.0), tf.uint8)


def grid_size(resolution: int, label_size: int = 0) -> tuple[int, int]:
    """Return the number of columns and of rows of a run's grids.

    Args:
      resolution: of the images, in pixels.
      label_size: number of classes; with up to 16 of them, each row shows one class.
    """
    columns = int(np.clip(_SCREEN_WIDTH // resolution, 4, 16))
    rows = int(np.clip(_SCREEN_HEIGHT // resolution, 2, 10))
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
    """Write a `[h w 1 or 3]` uint8 image, whole or not at all."""
    squeezed = image[:, :, 0] if image.shape[2] == 1 else image
    # Some file systems write a file to the disk at once if it has been truncated.
    with whole_file(path) as temporary, temporary.open("r+b") as file:
        Image.fromarray(squeezed).save(file, format="PNG")
