"""General geometric transformations, resampled without aliasing.

The second group of ADA (Karras et al. 2020, appendix B, "General geometric transformations").
"""

import functools
import math

import tensorflow as tf

from pgan_tf.augmentation.operation import (
    Operation,
    columns,
    lognormal,
    matrices,
    normal,
    per_image,
    product,
)
from pgan_tf.augmentation.resampling import Sampling, resample, sample_by_lookup, sample_by_matrix

_SCALE_OCTAVES = 0.2
_SHIFT_DEVIATION = 0.125


def transform(
    images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor, *, sampling: Sampling
) -> tf.Tensor:
    """Scale, rotate, stretch, rotate again and translate, by one matrix and one resampling.

    Args:
      images: `[b h w c]`.
      noise: `[b 11]`.
      strength: p.
      sampling: see `resample`.
    """
    _, height, width, _ = images.shape
    inverse, applied = inverse_matrices(noise, strength, aspect=width / height)
    return tf.where(per_image(applied), resample(images, inverse, sampling), images)


def inverse_matrices(
    noise: tf.Tensor, strength: tf.Tensor, *, aspect: float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return where each point of the results comes from.

    Args:
      noise: `[b 11]`.
      strength: p.
      aspect: width by height of the images.

    Returns:
      `[b 3 3]` from (x, y, 1) in a result to (x, y, 1) in its image, both from -1 to 1 between the
      borders; `[b]`, False where nothing is applied.
    """
    batch = noise.shape[0]
    u = tf.unstack(noise, axis=1)
    # Either rotation alone, or both: together they are applied with probability p.
    rotation_strength = 1.0 - tf.sqrt(1.0 - strength)
    scales, rotates, stretches = u[0] < strength, u[2] < rotation_strength, u[4] < strength
    rotates_again, shifts = u[6] < rotation_strength, u[8] < strength
    scale = tf.where(scales, lognormal(u[1], _SCALE_OCTAVES), 1.0)
    angle = tf.where(rotates, _angle(u[3]), 0.0)
    stretch = tf.where(stretches, lognormal(u[5], _SCALE_OCTAVES), 1.0)
    second_angle = tf.where(rotates_again, _angle(u[7]), 0.0)
    # A deviation of an eighth of the image, whose sides are 2 long.
    shift_x, shift_y = (
        tf.where(shifts, 2.0 * _SHIFT_DEVIATION * normal(uniform), 0.0) for uniform in u[9:]
    )
    inverses = [  # in the order in which they are applied to images
        _scaling(1.0 / scale, 1.0 / scale, batch),
        _rotation(-angle, batch),
        _scaling(1.0 / stretch, stretch, batch),
        _rotation(-second_angle, batch),
    ]
    if aspect != 1.0:  # rotate where x and y have the same unit
        inverses = [_scaling(1.0 / aspect, 1.0, batch), *inverses, _scaling(aspect, 1.0, batch)]
    inverses.append(_translation(-shift_x, -shift_y, batch))
    inverse = inverses[0]
    for following in inverses[1:]:
        inverse = product(inverse, following)
    return inverse, scales | rotates | stretches | rotates_again | shifts


def _angle(uniform: tf.Tensor) -> tf.Tensor:
    return math.pi * (2.0 * uniform - 1.0)


def _scaling(x: tf.Tensor, y: tf.Tensor, batch: int) -> tf.Tensor:
    return matrices([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], batch)


def _rotation(angle: tf.Tensor, batch: int) -> tf.Tensor:
    cos, sin = tf.cos(angle), tf.sin(angle)
    return matrices([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], batch)


def _translation(x: tf.Tensor, y: tf.Tensor, batch: int) -> tf.Tensor:
    return matrices([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]], batch)


def _operation(sampling: Sampling) -> Operation:
    # Of the pixels of a 4x4 image, nearly all are at its border.
    apply = functools.partial(transform, sampling=sampling)
    return Operation(apply, columns(11), least_resolution=8)


TRANSFORM = _operation(sample_by_lookup)
# The same up to rounding.
TRANSFORM_ON_CPUS = _operation(sample_by_matrix)
