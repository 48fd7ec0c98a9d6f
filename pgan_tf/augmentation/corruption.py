"""Image-space corruptions: additive noise and cutout.

The last group of ADA (Karras et al. 2020, appendix B, "Image-space corruptions").
"""

import math

import numpy as np
import tensorflow as tf

from pgan_tf.augmentation.operation import Operation, columns, normal, per_image

_NOISE_DEVIATION = 0.1
_CUTOUT_SIZE = 0.5


def add_noise(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Add normal noise, of a deviation that is half-normal itself, with probability p.

    Args:
      images: `[b h w c]`.
      noise: `[b 2+h*w*c]`.
      strength: p.
    """
    deviation = _NOISE_DEVIATION * tf.abs(normal(noise[:, 1]))
    deviation = tf.where(noise[:, 0] < strength, deviation, 0.0)
    return images + per_image(deviation) * normal(tf.reshape(noise[:, 2:], images.shape))


def cut_out(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Set a rectangle of half the width and half the height to 0, with probability p.

    Args:
      images: `[b h w c]`.
      noise: `[b 3]`.
      strength: p.
    """
    applied, center_x, center_y = tf.unstack(noise, axis=1)
    in_x = tf.abs(_centers(images.shape[2]) - center_x[:, tf.newaxis]) < _CUTOUT_SIZE / 2
    in_y = tf.abs(_centers(images.shape[1]) - center_y[:, tf.newaxis]) < _CUTOUT_SIZE / 2
    is_cut = in_y[:, :, tf.newaxis, tf.newaxis] & in_x[:, tf.newaxis, :, tf.newaxis]
    return tf.where(is_cut & per_image(applied < strength), 0.0, images)


def _centers(size: int) -> np.ndarray:
    """`[size]`: the centers of pixels, from 0 to 1 between the borders."""
    return ((np.arange(size) + 0.5) / size).astype(np.float32)


ADD_NOISE = Operation(
    add_noise, lambda height, width, channels: 2 + math.prod((height, width, channels))
)
CUT_OUT = Operation(cut_out, columns(3))
