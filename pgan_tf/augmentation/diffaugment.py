"""DiffAugment (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training").

Every image is augmented, always: the strength is not used.
"""

import tensorflow as tf

from pgan_tf.augmentation.operation import Operation, below, columns, of_colors, per_image


def color(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Change brightness by up to 0.5, saturation to 0..2 times and contrast to 0.5..1.5 times.

    Args:
      images: `[b h w c]`.
      noise: `[b 3]`.
      strength: not used.
    """
    brightness, saturation, contrast = (per_image(u) for u in tf.unstack(noise, axis=1))
    images += brightness - 0.5
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    images = gray + (images - gray) * (2.0 * saturation)
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def translation(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Translate by whole pixels, up to an eighth of the image; what comes into view is 0.

    Args:
      images: `[b h w c]`.
      noise: `[b 2]`.
      strength: not used.
    """
    batch, height, width, channels = images.shape
    down, right = height // 8, width // 8
    padded = tf.pad(images, [[0, 0], [down, down], [right, right], [0, 0]])
    top = tf.cast(below(noise[:, 0], 2 * down + 1), tf.int32)
    left = tf.cast(below(noise[:, 1], 2 * right + 1), tf.int32)
    rows = top[:, tf.newaxis, tf.newaxis] + tf.range(height)[:, tf.newaxis]
    index = rows * (width + 2 * right) + left[:, tf.newaxis, tf.newaxis] + tf.range(width)
    pixels = tf.reshape(padded, [batch, -1, channels])
    moved = tf.gather(pixels, tf.reshape(index, [batch, height * width]), batch_dims=1)
    return tf.reshape(moved, images.shape)


def cutout(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Set a rectangle of half the width and half the height to 0, in part beyond the border.

    Args:
      images: `[b h w c]`.
      noise: `[b 2]`.
      strength: not used.
    """
    _, height, width, _ = images.shape
    in_y = _cut(noise[:, 0], height)[:, :, tf.newaxis, tf.newaxis]
    in_x = _cut(noise[:, 1], width)[:, tf.newaxis, :, tf.newaxis]
    return tf.where(in_y & in_x, 0.0, images)


def _cut(uniform: tf.Tensor, size: int) -> tf.Tensor:
    """`[b size]`: True in a segment of half the size, whose center is anywhere in the image."""
    first = below(uniform, size + 1)[:, tf.newaxis] - size // 4
    index = tf.range(size, dtype=tf.float32)
    return (index >= first) & (index < first + size // 2)


COLOR = Operation(of_colors(color), columns(3))
# An eighth of 4 is less than a pixel.
TRANSLATION = Operation(translation, columns(2), least_resolution=8)
CUTOUT = Operation(cutout, columns(2))
