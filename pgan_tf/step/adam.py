"""Adam (Kingma and Ba 2015), each variable's update as one operation."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Keras's Adam with TensorFlow's fused kernel: the same numbers, of a tenth of the operations.

    At 4x4 the many small operations of Keras's own update are a tenth of a step's time, and of the
    time that building its graph takes.
    """

    def update(
        self,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
        learning_rate: tf.Tensor,
    ) -> None:
        """Updates variables and their moments, and leaves the count of steps to the caller.

        Args:
          gradients: one for each of `variables`, the same on all replicas.
          variables: some of those that the optimizer was built with.
          learning_rate: scalar float32.
        """
        step = tf.cast(self.iterations.value + 1, tf.float32)
        beta1, beta2 = (tf.constant(beta, tf.float32) for beta in (self.beta_1, self.beta_2))
        powers = {"beta1_power": tf.pow(beta1, step), "beta2_power": tf.pow(beta2, step)}
        for gradient, variable in zip(gradients, variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                **powers,
                lr=learning_rate,
                beta1=beta1,
                beta2=beta2,
                epsilon=self.epsilon,
                grad=gradient,
            )
