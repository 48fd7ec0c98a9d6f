"""Random numbers of a step: pure functions of a seed, whatever the number of replicas."""

import enum
from collections.abc import Callable, Sequence

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


def normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw standard normal noise for this replica.

    Args:
      shape: `[b ...]`, b being this replica's batch.
      seed: `[2]`.
    """
    return _draw_own_samples(tf.random.stateless_normal, shape, seed)


def uniform(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Draw noise in [0, 1) for this replica.

    Args:
      shape: `[b ...]`, b being this replica's batch.
      seed: `[2]`.
    """
    return _draw_own_samples(tf.random.stateless_uniform, shape, seed)


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
