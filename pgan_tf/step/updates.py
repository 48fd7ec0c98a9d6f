"""How variables change: by Adam, and by moving averages."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from pgan_tf.step.adam import Adam
from pgan_tf.step.loss_scale import UNSCALED, Unscaled


def apply_gradients(
    optimizer: Adam,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    learning_rate: tf.Tensor,
    loss_scale: Unscaled = UNSCALED,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Updates the variables, unless a gradient is not finite.

    Args:
      optimizer: built with the variables.
      gradients: this replica's, one for each variable, of the scaled loss.
      variables: to be updated.
      learning_rate: scalar float32.
      loss_scale: what the loss was scaled by; it learns whether that was too much.

    Returns:
      1.0 if the update was skipped, else 0.0; and the norm of all gradients together, after their
      mean over replicas.
    """
    context = tf.distribute.get_replica_context()
    # The mean over replicas, taken before deciding, so that all decide alike. The optimizer's own
    # `apply` would reduce the gradients once more, hence its `update`.
    gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, list(gradients))
    gradients = loss_scale.unscale(gradients)
    # Not finite if any gradient is not, or is so large that Adam could not square it.
    norm = tf.linalg.global_norm(gradients)
    finite = tf.math.is_finite(norm)

    def update() -> tf.Tensor:
        optimizer.update(gradients, variables, learning_rate)
        return tf.constant(0.0)

    skipped = tf.cond(finite, update, lambda: tf.constant(1.0))
    # Outside of the condition, because Keras has the replicas agree on this one variable.
    optimizer.iterations.assign_add(tf.cast(finite, optimizer.iterations.dtype))
    loss_scale.update(finite)
    return skipped, norm


def update_average(
    averages: Sequence[keras.Variable], variables: Sequence[keras.Variable], *, decay: float
) -> None:
    """Moves each average a little towards its variable, by 1 - decay of the way."""
    for average, variable in zip(averages, variables, strict=True):
        # Without memory a copy, which gets over values that were not finite.
        average.assign(variable + (average - variable) * decay if decay else variable)


def update_real_score(average: keras.Variable, score: tf.Tensor, *, decay: float = 0.9) -> None:
    """Moves the average score of reals towards their mean score over all replicas.

    Args:
      average: scalar, what `noise.noise_strength` follows; it stays where the score is not finite.
      score: scalar, this replica's mean.
      decay: of what it was (appendix B).
    """
    context = tf.distribute.get_replica_context()
    mean = context.all_reduce(tf.distribute.ReduceOp.SUM, score / context.num_replicas_in_sync)
    moved = mean + (average - mean) * decay
    average.assign(tf.where(tf.math.is_finite(mean), moved, average))
