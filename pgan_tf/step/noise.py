"""What a step draws: pure functions of a seed, the same whatever the number of replicas."""

import dataclasses
import enum
import math
import zlib
from collections.abc import Callable, Sequence

import tensorflow as tf

from pgan_tf.distribution.strategy import sample_offset


class Noise(enum.IntEnum):
    """What a random stream is for. Runs are reproducible by these values: never renumber."""

    MIRROR = 0
    DISCRIMINATOR_LATENTS = 1
    MIXING = 2
    GENERATOR_LATENTS = 3
    DEQUANTIZE = 4
    DISCRIMINATOR_FEATURES = 5
    GENERATOR_FEATURES = 6


def normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """This replica's `shape` of standard normal noise."""
    return _own_samples(tf.random.stateless_normal, shape, seed)


def uniform(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """This replica's `shape` of noise in [0, 1)."""
    return _own_samples(tf.random.stateless_uniform, shape, seed)


def _own_samples(
    draw: Callable[..., tf.Tensor], shape: Sequence[int], seed: tf.Tensor
) -> tf.Tensor:
    """Draws for the global batch, and takes this replica's samples."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return draw(shape, seed)
    batch, *rest = shape
    noise = tf.reshape(draw([batch * replicas, *rest], seed), [batch, replicas, *rest])
    offset = sample_offset(context.strategy, context.replica_id_in_sync_group)
    return tf.gather(noise, offset, axis=1)


@dataclasses.dataclass(frozen=True)
class FeatureNoise:
    """Multiplicative noise for one pass through a discriminator (appendix B of the paper).

    Each feature map of each sample is multiplied by a factor of its own, drawn from a normal
    distribution of mean 1 and standard deviation strength * sqrt(feature maps).

    Attributes:
      strength: scalar float32 (`noise_strength`).
      seed: `[2]`, of the pass.
    """

    strength: tf.Tensor
    seed: tf.Tensor

    def __call__(self, x: tf.Tensor, *, layer: str, parts: int = 1) -> tf.Tensor:
        """The input of a layer with its noise.

        Args:
          x: `[parts*b ... c]`.
          layer: whose input it is; every layer has noise of its own.
          parts: how many minibatches of one size `x` is, one after the other.
        """
        seed = tf.random.fold_in(self.seed, zlib.crc32(layer.encode()) % 2**31)
        batch, *pixels, features = x.shape
        shape = [batch // parts, *(1 for _ in pixels), features]
        drawn = [normal(shape, tf.random.fold_in(seed, part)) for part in range(parts)]
        factors = 1.0 + self.strength * math.sqrt(features) * tf.concat(drawn, axis=0)
        return x * tf.cast(factors, x.dtype)


def noise_strength(weight: float, real_score: tf.Tensor) -> tf.Tensor:
    """weight * max(0, d - 0.5)^2, with d the average score of reals, which lsgan draws to 1."""
    return weight * tf.square(tf.maximum(real_score - 0.5, 0.0))
