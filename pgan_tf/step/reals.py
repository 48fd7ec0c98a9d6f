"""Reals as the discriminator sees them."""

import tensorflow as tf

from pgan_tf.layers import downscale2d, upscale2d
from pgan_tf.step.noise import uniform


def prepare_reals(
    images: tf.Tensor,
    alpha: tf.Tensor | None,
    *,
    mirror_seed: tf.Tensor | None = None,
    dequantize_seed: tf.Tensor | None = None,
    shards: int | None = None,
    bits: int = 8,
) -> tf.Tensor:
    """Convert images as stored in the pyramid to reals as the discriminator sees them.

    Args:
      images: `[b c h w]` with levels from 0 to the largest, of any type.
      alpha: while a stage fades in, a scalar in [0, 1]: reals fade from their 2x2 means, repeated
        (the resolution below), to themselves. None afterwards.
      mirror_seed: `[2]`; each image is mirrored left-right with probability 1/2. None: none is.
      dequantize_seed: `[2]`; each level is spread evenly over its width by noise in [-0.5, 0.5)
        levels. None: no noise.
      bits: of a level.
      shards: number of different shards of the global batch; None: one for each replica.

    Returns:
      `[b h w c]` float32 in [-1, 1]; up to half a level beyond where dequantized.
    """
    levels = tf.cast(tf.transpose(images, [0, 2, 3, 1]), tf.float32)
    if dequantize_seed is not None:
        levels += uniform(levels.shape, dequantize_seed, shards=shards) - 0.5
    reals = levels / ((2**bits - 1) / 2) - 1.0
    if mirror_seed is not None:
        mirrored = uniform([images.shape[0], 1, 1, 1], mirror_seed, shards=shards) < 0.5
        reals = tf.where(mirrored, tf.reverse(reals, axis=[2]), reals)
    if alpha is not None:
        lower = upscale2d(downscale2d(reals))
        reals = lower + (reals - lower) * alpha
    return reals
