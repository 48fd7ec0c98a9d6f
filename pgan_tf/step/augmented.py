"""Augmentation in an iteration: D(T(x)) in place of D(x), whatever x is.

T is drawn anew for each image of each step. The points of a gradient penalty go through T too, by
which the gradient is taken, as ADA does with R1.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pgan_tf.augmentation.pipeline import Pipeline
from pgan_tf.config import AugmentConfig
from pgan_tf.networks.discriminator import DiscriminatorOutput
from pgan_tf.step.gradients import BoundDiscriminator
from pgan_tf.step.noise import uniform


def augmentation_noise(
    pipeline: Pipeline,
    batch_size: int,
    seed: tf.Tensor,
    *,
    num_minibatches: int,
    shards: int | None = None,
) -> tf.Tensor:
    """`[b num_minibatches noise_size]`, noise of T for the largest pass of a step.

    Args:
      pipeline: of the stage.
      batch_size: b, of the replica.
      seed: `[2]`.
      num_minibatches: number of minibatches, of b images each, in that pass.
      shards: number of different shards of the pass's global batch; None: one for each replica.
    """
    return uniform([batch_size, num_minibatches, pipeline.noise_size], seed, shards=shards)


def fixed_strength(config: AugmentConfig, images_seen: tf.Tensor) -> tf.Tensor:
    """Return the strength p of `--augment=fixed`, a scalar float32.

    Args:
      config: of the run.
      images_seen: scalar int64.
    """
    if not config.augment_ramp_kimg:
        return tf.constant(config.augment_p)
    ramp = tf.cast(images_seen, tf.float32) / (1000.0 * config.augment_ramp_kimg)
    return config.augment_p * tf.minimum(ramp, 1.0)


def augmented(
    compute: Callable[..., Any],
    discriminator: BoundDiscriminator,
    pipeline: Pipeline,
    strength: tf.Tensor,
) -> Callable[..., Any]:
    """Return `compute` with a discriminator of augmented images.

    Args:
      compute: takes a discriminator and tensors `[b ...]`, by name.
      discriminator: of images as they are.
      pipeline: of the stage.
      strength: scalar in [0, 1].

    Returns:
      A function of the same tensors, and of `augmentation_noise`.
    """

    def compute_augmented(*, noise: tf.Tensor, **batch: Any) -> Any:
        def see(images: tf.Tensor, *, num_minibatches: int = 1) -> DiscriminatorOutput:
            # Reals come first in every pass; penalties at one minibatch have the noise of reals.
            own = tf.concat(tf.unstack(noise, axis=1)[:num_minibatches], axis=0)
            images = pipeline(images, own, strength)
            return discriminator(images, num_minibatches=num_minibatches)

        return compute(discriminator=see, **batch)

    return compute_augmented
