"""What a step draws: pure functions of a seed, the same whatever the number of replicas."""

import enum
from collections.abc import Callable, Sequence

import tensorflow as tf

from pgan_tf.distribution import rank


class Noise(enum.IntEnum):
    """What a random stream is for. Runs are reproducible by these values: never renumber."""

    MIRROR = 0
    DISCRIMINATOR_LATENTS = 1
    MIXING = 2
    GENERATOR_LATENTS = 3
    DEQUANTIZE = 4


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
    return tf.gather(noise, rank(context.strategy, context.replica_id_in_sync_group), axis=1)
