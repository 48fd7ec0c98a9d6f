"""Reals as the discriminator is shown them."""

import tensorflow as tf

from pgan_tf.layers import downscale2d, upscale2d
from pgan_tf.step.noise import uniform


def prepare_reals(
    images: tf.Tensor,
    alpha: tf.Tensor | None,
    *,
    mirror_seed: tf.Tensor | None = None,
    dequantize_seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """Reals as the discriminator is shown them.

    Args:
      images: `[b c h w]` uint8.
      alpha: scalar in [0, 1] while a stage fades in: reals fade too, from what the resolution below
        holds of them (2x2 means, repeated) to themselves. None: they stay as they are.
      mirror_seed: `[2]`; each image is mirrored left-right with probability 1/2. None: none is.
      dequantize_seed: `[2]`; each number, of 256 levels, is spread evenly over its level's width.
        None: it stays in the middle.

    Returns:
      `[b h w c]` float32 in [-1, 1]; half a level beyond where dequantized.
    """
    levels = tf.cast(tf.transpose(images, [0, 2, 3, 1]), tf.float32)
    if dequantize_seed is not None:
        levels += uniform(levels.shape, dequantize_seed) - 0.5
    reals = levels / 127.5 - 1.0
    if mirror_seed is not None:
        coins = uniform([images.shape[0], 1, 1, 1], mirror_seed)
        reals = tf.where(coins < 0.5, tf.reverse(reals, axis=[2]), reals)
    if alpha is not None:
        lower = upscale2d(downscale2d(reals))
        reals = lower + (reals - lower) * alpha
    return reals
