"""Color transformations, as one 4x4 matrix an image.

The third group of ADA (Karras et al. 2020, appendix B, "Color transformations").
"""

import math

import numpy as np
import tensorflow as tf

from pgan_tf.augmentation.operation import (
    Operation,
    below,
    columns,
    lognormal,
    matrices,
    normal,
    of_colors,
    per_image,
    product,
)

_BRIGHTNESS_DEVIATION = 0.2
_CONTRAST_OCTAVES = 0.5
_SATURATION_OCTAVES = 1.0

_IDENTITY = np.eye(4, dtype=np.float32)
# Projection to the gray axis, (1, 1, 1) / sqrt(3), and the cross product with it.
_GRAY = np.pad(np.full([3, 3], 1 / 3, np.float32), [[0, 1], [0, 1]])
_CROSS = np.array([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]], np.float32)
_CROSS /= math.sqrt(3)
_HOMOGENEOUS = np.diag([0, 0, 0, 1]).astype(np.float32)


def recolor(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Change brightness, contrast, the sign of luma, hue and saturation.

    Of images of one channel, which are gray: brightness, contrast and the sign.

    Args:
      images: `[b h w c]`, c 1 or 3.
      noise: `[b 10]`.
      strength: p.
    """
    matrix, applied = color_matrices(noise, strength)
    if images.shape[3] == 1:
        # On the gray axis, each row of the matrix sums to the same number.
        factor = tf.reduce_sum(matrix[:, 0, :3], axis=1)
        recolored = images * per_image(factor) + per_image(matrix[:, 0, 3])
    else:
        recolored = tf.stack([_channel(images, matrix[:, row]) for row in range(3)], axis=3)
    return tf.where(per_image(applied), recolored, images)


def color_matrices(noise: tf.Tensor, strength: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the maps of colors.

    Args:
      noise: `[b 10]`.
      strength: p.

    Returns:
      `[b 4 4]` from (red, green, blue, 1) to the new color; `[b]`, False where nothing is applied.
    """
    batch = noise.shape[0]
    u = tf.unstack(noise, axis=1)
    applied = [uniform < strength for uniform in u[0::2]]
    brightness = tf.where(applied[0], _BRIGHTNESS_DEVIATION * normal(u[1]), 0.0)
    contrast = tf.where(applied[1], lognormal(u[3], _CONTRAST_OCTAVES), 1.0)
    flip = tf.where(applied[2], below(u[5], 2), 0.0)
    angle = tf.where(applied[3], math.pi * (2.0 * u[7] - 1.0), 0.0)
    saturation = tf.where(applied[4], lognormal(u[9], _SATURATION_OCTAVES), 1.0)
    chroma = _IDENTITY - _GRAY - _HOMOGENEOUS
    steps = [  # in the order in which they are applied
        matrices(
            [
                [1.0, 0.0, 0.0, brightness],
                [0.0, 1.0, 0.0, brightness],
                [0.0, 0.0, 1.0, brightness],
                [0.0, 0.0, 0.0, 1.0],
            ],
            batch,
        ),
        _of_each(contrast) * (_IDENTITY - _HOMOGENEOUS) + _HOMOGENEOUS,
        _IDENTITY - 2.0 * _of_each(flip) * _GRAY,  # Householder's reflection
        # Rodrigues's formula.
        _GRAY + _HOMOGENEOUS + _of_each(tf.cos(angle)) * chroma + _of_each(tf.sin(angle)) * _CROSS,
        _GRAY + _HOMOGENEOUS + _of_each(saturation) * chroma,
    ]
    matrix = steps[0]
    for step in steps[1:]:
        matrix = product(step, matrix)
    return matrix, tf.reduce_any(tf.stack(applied), axis=0)


def _of_each(values: tf.Tensor) -> tf.Tensor:
    """Reshape `[b]` to `[b 1 1]`."""
    return values[:, tf.newaxis, tf.newaxis]


def _channel(images: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """`[b h w]`: one channel of new colors, from its row `[b 4]` of the matrices."""
    red, green, blue, one = (_of_each(x) for x in tf.unstack(row, axis=1))
    return images[..., 0] * red + images[..., 1] * green + images[..., 2] * blue + one


RECOLOR = Operation(of_colors(recolor), columns(10))
