"""Random numbers of a step: pure functions of a seed, whatever the number of replicas.

They are those of `tf.random.stateless_uniform` and `stateless_normal`, computed here from random
bits, because XLA makes other numbers of the same bits.
"""

import enum
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from pgan_tf.distribution.strategy import own_samples


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
    VALIDATION_MIRROR = 9
    VALIDATION_DEQUANTIZE = 10
    VALIDATION_FEATURES = 11
    VALIDATION_AUGMENTATION = 12


class PassStreams(NamedTuple):
    """Random streams of the discriminator's passes in one step.

    Attributes:
      features: of the noise in its features, if the network has any.
      augmentation: of the augmentation of its images, if there is any.
      num_minibatches: number of minibatches in the largest pass: reals and fakes, or one of them.
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
VALIDATION_PASS = PassStreams(
    RandomStream.VALIDATION_FEATURES, RandomStream.VALIDATION_AUGMENTATION, 1
)


def normal(shape: Sequence[int], seed: tf.Tensor, *, shards: int | None = None) -> tf.Tensor:
    """Draw standard normal noise for this replica.

    Args:
      shape: `[b ...]`, b being this replica's batch.
      seed: `[2]`.
      shards: number of different shards of the global batch (`own_samples`); None: each replica
        has its own.
    """
    return _draw_own_samples(_normal, shape, seed, shards)


def uniform(shape: Sequence[int], seed: tf.Tensor, *, shards: int | None = None) -> tf.Tensor:
    """Draw noise in [0, 1) for this replica; arguments as of `normal`."""
    return _draw_own_samples(_uniform, shape, seed, shards)


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
    draw: Callable[..., tf.Tensor],
    shape: Sequence[int],
    seed: tf.Tensor,
    shards: int | None = None,
) -> tf.Tensor:
    """Draw for the global batch, and return this replica's samples."""
    if shards is None:
        shards = tf.distribute.get_replica_context().num_replicas_in_sync
    batch, *rest = shape
    return own_samples(draw([batch * shards, *rest], seed), shards)
