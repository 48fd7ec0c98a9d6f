"""Weight updates: Adam (Kingma and Ba 2015), and the moving average of the generator's weights."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from pgan_tf.config import OptimizerConfig
from pgan_tf.step.loss_scale import NO_LOSS_SCALE, LossScale


class Adam(keras.optimizers.Adam):
    """Keras's Adam and its variables, updated by TensorFlow's fused kernel.

    The numbers are Keras's; the operations are a tenth of them. At 4x4 the many small operations
    of Keras's own update take a tenth of a step, and a tenth of the time to build its graph.

    Args:
      epsilon: added to the root of the second moment.
      mixes_beta2: whether beta2 may change from one update to another while moments are kept. Then
        the second moment is corrected by 1 minus the product of all values, which is a variable.
      name: prefix of the variables' names.
    """

    def __init__(self, *, epsilon: float, mixes_beta2: bool = False, name: str = "adam"):
        super().__init__(epsilon=epsilon, name=name)
        self._mixes_beta2 = mixes_beta2

    def build(self, variables: list[keras.Variable]) -> None:
        """Create moments of variables, all zero."""
        super().build(variables)
        if self._mixes_beta2:
            # The logarithm, so that a reset is 0 as for the others.
            self._beta2_log_product = self.add_variable(
                (), dtype="float32", name="beta2_log_product"
            )

    def update(
        self,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
        rates: "Rates",
        applies: tf.Tensor,
    ) -> None:
        """Update variables and their moments, and count the update, or leave all as it is.

        Arithmetic decides, because a condition would have the host wait for the device.

        Args:
          gradients: one for each of `variables`, the same on all replicas.
          variables: any of those that the optimizer was built with.
          rates: of this update.
          applies: scalar bool. If False, gradients that are not finite do no harm.
        """
        mask = tf.cast(applies, tf.float32)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        beta1, beta2 = (tf.constant(beta, tf.float32) for beta in (rates.beta1, rates.beta2))
        beta1_power, beta2_power = tf.pow(beta1, step), tf.pow(beta2, step)
        if self._mixes_beta2:
            beta2_power = self._multiply_beta2(beta2, applies)
        # No rate keeps the variable, and moments that forget nothing and take zeros stay.
        learning_rate = rates.learning_rate * mask
        beta1, beta2 = (tf.where(applies, beta, 1.0) for beta in (beta1, beta2))
        for gradient, variable in zip(gradients, variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                beta1_power=beta1_power,
                beta2_power=beta2_power,
                lr=learning_rate,
                beta1=beta1,
                beta2=beta2,
                epsilon=self.epsilon,
                grad=tf.math.multiply_no_nan(gradient, mask),
            )
        # By its handle, as above: Keras would synchronize this one variable between replicas.
        iterations = self.iterations.value
        tf.raw_ops.AssignAddVariableOp(
            resource=iterations.handle, value=tf.cast(applies, iterations.dtype)
        )

    def _multiply_beta2(self, beta2: tf.Tensor, applies: tf.Tensor) -> tf.Tensor:
        """Return the product of beta2 over all updates, this one included if it applies."""
        handle = self._beta2_log_product.value.handle
        log_product = self._beta2_log_product.value + tf.where(applies, tf.math.log(beta2), 0.0)
        tf.raw_ops.AssignVariableOp(resource=handle, value=log_product)
        return tf.exp(log_product)


class Rates(NamedTuple):
    """Rates of one update by Adam.

    Attributes:
      learning_rate: scalar float32.
      beta1: decay of the first moment, in [0, 1).
      beta2: decay of the second moment, in [0, 1).
    """

    learning_rate: tf.Tensor
    beta1: float
    beta2: float

    def for_smaller_steps(self, fraction: float) -> "Rates":
        """Return the rates of updates that are a fraction of a step each: as much in a step."""
        return Rates(self.learning_rate * fraction, self.beta1**fraction, self.beta2**fraction)


class Update(NamedTuple):
    """Outcome of one update, the same on all replicas.

    Attributes:
      skipped: scalar float32: 1.0 if the update was skipped, else 0.0.
      gradient_norm: scalar float32, the norm of all gradients together.
    """

    skipped: tf.Tensor
    gradient_norm: tf.Tensor


def apply_gradients(
    optimizer: Adam,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    rates: Rates,
    loss_scale: LossScale = NO_LOSS_SCALE,
) -> Update:
    """Update the variables, unless a gradient is not finite.

    Args:
      optimizer: built with the variables.
      gradients: means over all replicas, one for each variable, of the scaled loss. Since they are
        the same on all replicas, all decide alike.
      variables: to be updated.
      rates: of this update.
      loss_scale: scale of the loss; it is adjusted by whether the gradients were finite.
    """
    gradients = loss_scale.unscale(gradients)
    # Not finite if any gradient is not, or is so large that Adam could not square it.
    norm = tf.linalg.global_norm(gradients)
    finite = tf.math.is_finite(norm)
    optimizer.update(gradients, variables, rates, finite)
    loss_scale.update(finite)
    return Update(tf.where(finite, 0.0, 1.0), norm)


def average_decay(
    config: OptimizerConfig, images_seen: tf.Tensor, *, batch_size: int
) -> float | tf.Tensor:
    """Return the decay of one update of the moving average, in [0, 1].

    While it ramps up (`ema_rampup`), its half-life is at most a fraction of the images shown so
    far, as in StyleGAN2-ADA's training code (Karras et al. 2020).

    Args:
      config: of the average.
      images_seen: scalar int64, before the iteration.
      batch_size: global batch of a discriminator step, in images.
    """
    decay = config.ema_decay_at(batch_size)
    if not config.ema_rampup:
        return decay
    half_life = tf.maximum(config.ema_rampup * tf.cast(images_seen, tf.float32), 1e-3)
    return tf.minimum(decay, tf.pow(0.5, config.images_per_average(batch_size) / half_life))


def update_average(
    averages: Sequence[keras.Variable],
    variables: Sequence[keras.Variable],
    *,
    decay: float | tf.Tensor,
) -> None:
    """Move each average toward its variable: decay * average + (1 - decay) * variable.

    Args:
      averages: to be updated, one for each of `variables`.
      variables: to be averaged.
      decay: scalar in [0, 1); the number 0 copies the variables.
    """
    is_copy = isinstance(decay, float) and decay == 0.0
    for average, variable in zip(averages, variables, strict=True):
        # A plain copy at 0, because 0 times an average that is not finite is not finite.
        average.assign(variable if is_copy else variable + (average - variable) * decay)
