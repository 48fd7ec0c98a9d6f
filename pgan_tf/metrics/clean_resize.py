"""Antialiased bicubic resizing before a network, without rounding to whole numbers.

Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022: the
filter gets wider where images shrink, so that no detail turns into patterns; and each channel is
resized as float32 by Pillow.
"""

import concurrent.futures
import functools
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import tensorflow as tf

_A = -0.5  # Keys's coefficient, that of Pillow and of most others
_SUPPORT = 2.0
_IMAGES_PER_TASK = 8


def resize_clean(images: np.ndarray, size: int) -> np.ndarray:
    """Resize images to a square by Pillow.

    Args:
      images: `[b h w c]` uint8.
      size: side of the square.

    Returns:
      `[b size size c]` float32 from 0 to 255.
    """
    resized = np.empty((len(images), size, size, images.shape[3]), np.float32)

    def resize_some(start: int) -> None:
        for number in range(start, min(start + _IMAGES_PER_TASK, len(images))):
            for channel in range(images.shape[3]):
                plane = Image.fromarray(images[number, :, :, channel].astype(np.float32))
                found = plane.resize((size, size), Image.Resampling.BICUBIC)
                resized[number, :, :, channel] = np.asarray(found)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(resize_some, range(0, len(images), _IMAGES_PER_TASK)))
    # Bicubic resizing overshoots at edges.
    return np.clip(resized, 0, 255, out=resized)


def resize_tensor(images: "tf.Tensor", size: int) -> "tf.Tensor":
    """Resize `[b h w c]` float32 images likewise, by matrices, through which gradients pass."""
    import tensorflow as tf

    _, height, width, _ = images.shape
    rows, columns = (tf.constant(resize_matrix(side, size)) for side in (height, width))
    resized = tf.einsum("yh,bhwc,xw->byxc", rows, images, columns)
    return tf.clip_by_value(resized, 0.0, 255.0)


@functools.lru_cache(maxsize=16)
def resize_matrix(source: int, target: int) -> np.ndarray:
    """Return the weights `[target source]` float32 of pixels along one side."""
    scale = source / target
    width = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    # Whole pixels, those whose centers are no farther than the support.
    first = np.maximum(np.floor(centers - _SUPPORT * width + 0.5), 0)[:, None]
    last = np.minimum(np.floor(centers + _SUPPORT * width + 0.5), source)[:, None]
    pixels = np.arange(source)[None]
    weights = _bicubic((pixels + 0.5 - centers[:, None]) / width)
    weights *= (pixels >= first) & (pixels < last)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _bicubic(x: np.ndarray) -> np.ndarray:
    """Return Keys's cubic convolution kernel."""
    x = np.abs(x)
    near = ((_A + 2) * x - (_A + 3)) * x**2 + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
