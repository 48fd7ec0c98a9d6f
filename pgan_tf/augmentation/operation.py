"""An operation of augmentation, and what several operations make of their noise."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfrecords_tools.shape import has_alpha


class Operation(NamedTuple):
    """A pure function of images, noise and strength, with what it needs.

    Attributes:
      apply: from images `[b h w c]` float32, noise `[b n]`, uniform in [0, 1), and the strength p,
        a scalar in [0, 1], to images `[b h w c]`. Each image depends on its own noise alone.
      noise_size: from the height, width and channels of an image to n.
      least_resolution: below it the operation makes no sense, and is left out.
    """

    apply: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    noise_size: Callable[[int, int, int], int]
    least_resolution: int = 4


def of_colors(
    apply: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return a function like `Operation.apply` that leaves alpha, the last of 2 or 4 channels."""

    def apply_to_colors(images: tf.Tensor, noise: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        if not has_alpha(images.shape[3]):
            return apply(images, noise, strength)
        colors, alpha = images[..., :-1], images[..., -1:]
        return tf.concat([apply(colors, noise, strength), alpha], axis=3)

    return apply_to_colors


def columns(count: int) -> Callable[[int, int, int], int]:
    """Return the `noise_size` of an operation whose noise does not depend on the image's size."""
    return lambda height, width, channels: count


def normal(uniform: tf.Tensor) -> tf.Tensor:
    """Turn uniform noise in [0, 1) into standard normal noise."""
    # Uniform noise has 23 bits: half a step more, and it is neither 0 nor 1.
    return tf.math.ndtri(uniform + 2.0**-24)


def lognormal(uniform: tf.Tensor, octaves: float) -> tf.Tensor:
    """Turn uniform noise into factors of median 1, whose deviation is `octaves` factors of 2."""
    return 2.0 ** (octaves * normal(uniform))


def below(uniform: tf.Tensor, count: int) -> tf.Tensor:
    """Turn uniform noise into whole numbers from 0 to `count` - 1, as float32."""
    return tf.floor(uniform * count)


def per_image(values: tf.Tensor) -> tf.Tensor:
    """Reshape `[b]` to `[b 1 1 1]`."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return the matrix products `[b i k]` of `[b i j]` and `[b j k]`, always in full float32.

    `tf.matmul` may round its factors to ten bits on GPUs (TF32), which would move pixels.
    """
    return tf.reduce_sum(a[:, :, :, tf.newaxis] * b[:, tf.newaxis, :, :], axis=2)


def matrices(rows: list[list[tf.Tensor | float]], batch: int) -> tf.Tensor:
    """Return matrices `[b i j]` from rows of elements, each a number or `[b]`."""
    return tf.stack(
        [tf.stack([tf.broadcast_to(x, [batch]) for x in row], axis=1) for row in rows], axis=1
    )
