"""Pixel blitting: flips, quarter turns and whole-pixel translations, which copy pixels as they are.

The first group of ADA (Karras et al. 2020, appendix B, "Pixel blitting"). Rectangles make half
turns.
"""

import tensorflow as tf

from pgan_tf.augmentation.operation import Operation, below, columns

# Translations are up to an eighth of the image.
_MAX_SHIFT = 0.125


def blit(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Flip, turn and translate, each with probability p, by one look-up of every pixel.

    Args:
      images: `[b h w c]`.
      noise: `[b 7]`.
      strength: p.
    """
    batch, height, width, channels = images.shape
    flips, flip, turns, turn, shifts, shift_x, shift_y = tf.unstack(noise, axis=1)
    flip = tf.where(flips < strength, below(flip, 2), 0.0)
    turn = below(turn, 4) if height == width else 2.0 * below(turn, 2)
    turn = tf.where(turns < strength, turn, 0.0)
    shifts = shifts < strength
    # From the pixels of the result back to those of the images: the last operation comes first.
    y, x = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    y, x = y - _shift(shift_y, shifts, height), x - _shift(shift_x, shifts, width)
    y, x = reflected(y, height), reflected(x, width)
    turn = turn[:, tf.newaxis, tf.newaxis]
    y, x = tf.where(turn >= 2, height - 1 - y, y), tf.where(turn >= 2, width - 1 - x, x)
    if height == width:
        odd = tf.equal(turn % 2, 1)
        y, x = tf.where(odd, x, y), tf.where(odd, height - 1 - y, x)
    x = tf.where(flip[:, tf.newaxis, tf.newaxis] > 0, width - 1 - x, x)
    index = tf.reshape(y * width + x, [batch, height * width])
    pixels = tf.reshape(images, [batch, height * width, channels])
    return tf.reshape(tf.gather(pixels, index, batch_dims=1), images.shape)


def reflected(index: tf.Tensor, size: int) -> tf.Tensor:
    """Reflect whole numbers at the centers of the first and the last pixel into [0, size - 1]."""
    period = 2 * (size - 1)
    index = tf.math.floormod(index, period)
    return tf.minimum(index, period - index)


def _shift(uniform: tf.Tensor, applied: tf.Tensor, size: int) -> tf.Tensor:
    """`[b 1 1]` int32."""
    shift = tf.round((2.0 * uniform - 1.0) * (_MAX_SHIFT * size))
    return tf.cast(tf.where(applied, shift, 0.0), tf.int32)[:, tf.newaxis, tf.newaxis]


BLIT = Operation(blit, columns(7))
