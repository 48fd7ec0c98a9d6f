"""Random numbers of a step: pure functions of a seed, whatever the number of replicas.

They are those of `tf.random.stateless_uniform` and `stateless_normal`, computed here from random
bits, because XLA makes other numbers of the same bits.
"""

import enum
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from pgan_tf.distribution.strategy import sample_offset


class RandomStream(enum.IntEnum):
    """Purpose of a random stream. Runs are reproducible by these values: never renumber them."""

    MIRROR = 0
    DISCRIMINATOR_LATENTS = 1
    MIXING = 2
    GENERATOR_LATENTS = 3
    DEQUANTIZE = 4
    DISCRIMINATOR_FEATURES = 5
    GENERATOR_FEATURES = 6
    DISCRIMINATOR_AUGMENTATION = 7
    GENERATOR_AUGMENTATION = 8


class PassStreams(NamedTuple):
    """Random streams of the discriminator's passes in one step.

    Attributes:
      features: of the noise in its features, if the network has any.
      augmentation: of the augmentation of its images, if there is any.
      num_minibatches: number of minibatches in the largest pass: reals and fakes, or fakes alone.
    """

    features: RandomStream
    augmentation: RandomStream
    num_minibatches: int


DISCRIMINATOR_STEP = PassStreams(
    RandomStream.DISCRIMINATOR_FEATURES, RandomStream.DISCRIMINATOR_AUGMENTATION, 2
)
GENERATOR_STEP = PassStreams(
    RandomStream.GENERATOR_FEATURES, RandomStream.GENERATOR_AUGMENTATION, 1
)


def normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw standard normal noise for this replica.

    Args:
      shape: `[b ...]`, b being this replica's batch.
      seed: `[2]`.
    """
    return _draw_own_samples(_normal, shape, seed)


def uniform(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw noise in [0, 1) for this replica.

    Args:
      shape: `[b ...]`, b being this replica's batch.
      seed: `[2]`.
    """
    return _draw_own_samples(_uniform, shape, seed)


def _uniform(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    bits = tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    # As many bits as the mantissa of a float32 stores.
    return tf.cast(tf.bitwise.bitwise_and(bits, 2**23 - 1), tf.float32) * 2.0**-23


def _normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Turn pairs of uniform numbers into pairs of normal ones (Box and Muller 1958)."""
    size = math.prod(shape)
    uniforms = tf.reshape(_uniform([size + size % 2], seed), [-1, 2])
    # At least 1e-7, as in TensorFlow: no number is farther than 5.7 from the mean.
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(uniforms[:, :1], 1e-7)))
    angle = 2.0 * math.pi * uniforms[:, 1:]
    normals = tf.concat([tf.sin(angle), tf.cos(angle)], axis=1) * radius
    return tf.reshape(tf.reshape(normals, [-1])[:size], shape)


def _draw_own_samples(
    draw: Callable[..., tf.Tensor], shape: Sequence[int], seed: tf.Tensor
) -> tf.Tensor:
    """Draw for the global batch, and return this replica's samples."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return draw(shape, seed)
    batch, *rest = shape
    noise = tf.reshape(draw([batch * replicas, *rest], seed), [batch, replicas, *rest])
    offset = sample_offset(context.strategy, context.replica_id_in_sync_group)
    return tf.gather(noise, offset, axis=1)
