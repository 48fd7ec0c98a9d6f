"""Multiplicative noise in the discriminator (appendix B of the paper), an option with LSGAN."""

import dataclasses
import math
import zlib

import keras
import tensorflow as tf

from pgan_tf.step.noise import normal

# Decay of the moving average of the scores of reals (appendix B).
_SCORE_DECAY = 0.9


@dataclasses.dataclass(frozen=True)
class FeatureNoise:
    """Noise for one pass through a discriminator.

    Each feature map of each sample is multiplied by a factor of its own, drawn from a normal
    distribution of mean 1 and standard deviation strength * sqrt(feature maps).

    Attributes:
      strength: scalar float32 (`noise_strength`).
      seed: `[2]`, of the pass.
      shards: number of different shards of the pass's global batch; None: one for each replica.
    """

    strength: tf.Tensor
    seed: tf.Tensor
    shards: int | None = None

    def __call__(self, x: tf.Tensor, *, layer: str, num_minibatches: int = 1) -> tf.Tensor:
        """Multiply the input of a layer by its noise.

        Args:
          x: `[num_minibatches*b ... c]`.
          layer: name of the layer; every layer has noise of its own.
          num_minibatches: number of minibatches of equal size in `x`, one after the other.
        """
        seed = tf.random.fold_in(self.seed, zlib.crc32(layer.encode()) % 2**31)
        batch, *pixels, features = x.shape
        shape = [batch // num_minibatches, *(1 for _ in pixels), features]
        drawn = [
            normal(shape, tf.random.fold_in(seed, index), shards=self.shards)
            for index in range(num_minibatches)
        ]
        factors = 1.0 + self.strength * math.sqrt(features) * tf.concat(drawn, axis=0)
        return x * tf.cast(factors, x.dtype)


def noise_strength(weight: float, real_score: tf.Tensor) -> tf.Tensor:
    """Return weight * max(0, d - 0.5)^2.

    Args:
      weight: `NetworkConfig.discriminator_noise`.
      real_score: d, the moving average of the scores of reals, which LSGAN draws to 1.
    """
    return weight * tf.square(tf.maximum(real_score - 0.5, 0.0))


def update_real_score(average: keras.Variable, mean: tf.Tensor) -> None:
    """Move the average score of reals toward their mean score in an iteration.

    Args:
      average: scalar; it stays as it is if the mean score is not finite.
      mean: scalar, the mean score of reals over all replicas.
    """
    moved = mean + (average - mean) * _SCORE_DECAY
    average.assign(tf.where(tf.math.is_finite(mean), moved, average))
