"""Inputs of a call of the training step."""

from typing import NamedTuple

import tensorflow as tf

from pgan_tf.step.noise import RandomStream


class IterationInputs(NamedTuple):
    """Inputs of one iteration, on one replica.

    Attributes:
      images: `[b c h w]`, reals as the pyramid stores them, different on each replica.
      labels: `[b n]` float32, labels of the reals; n is 0 without labels.
      fake_labels: `[b n]` float32, drawn from the data's labels, for the generator's step.
      alpha: scalar float32 in [0, 1].
      learning_rate: scalar float32.
      images_seen: scalar int64, real images shown before the iteration.
      noise_seed: scalar int64, seed of all random numbers.
      stop_flags: `[f]` float32, one for each signal: 1.0 where this worker has received it.
      validation_images: `[v c h w]`, held-out images to score, the same on all replicas; None
        if none are scored.
    """

    images: tf.Tensor
    labels: tf.Tensor
    fake_labels: tf.Tensor
    alpha: tf.Tensor
    learning_rate: tf.Tensor
    images_seen: tf.Tensor
    noise_seed: tf.Tensor
    stop_flags: tf.Tensor
    validation_images: tf.Tensor | None = None

    @property
    def global_batch_size(self) -> int:
        """Real images of the iteration, over all replicas; to be asked by a replica."""
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        return self.images.shape[0] * replicas

    def seed(self, stream: RandomStream) -> tf.Tensor:
        """Return the seed `[2]` of a random stream."""
        base = tf.stack([self.noise_seed, self.images_seen])
        return tf.random.fold_in(base, int(stream))


# Those of `IterationInputs` that all iterations of a call share.
_SHARED = frozenset({"noise_seed", "stop_flags"})


class StepInputs(NamedTuple):
    """Inputs of a call, with room for s iterations (`steps_per_call`).

    Attributes:
      iterations: `[s ...]` each, but for the noise seed and the stop flags, which all share.
      count: scalar int32 in [0, s]: only the first `count` iterations are run.
    """

    iterations: IterationInputs
    count: tf.Tensor

    def at(self, index: tf.Tensor | int) -> IterationInputs:
        """Return the inputs of one iteration."""
        return IterationInputs(
            **{
                name: value if name in _SHARED or value is None else value[index]
                for name, value in self.iterations._asdict().items()
            }
        )
