"""Leaky ReLU that is cheap to differentiate, once and twice."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pgan_tf")
class LeakyReLU(keras.layers.Layer):
    """x where x is above 0, else x times `negative_slope`; any shape.

    Args:
      negative_slope: in [0, 1); 0 is a ReLU.
    """

    def __init__(self, negative_slope: float = 0.2, **kwargs: Any):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return leaky_relu(inputs, self.negative_slope)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


def leaky_relu(x: tf.Tensor, negative_slope: float) -> tf.Tensor:
    """Leaky ReLU whose gradient needs its output alone."""

    # TensorFlow's own gradient keeps the input, and gives its second derivative, which is zero, as
    # a tensor of zeros to be added up.
    @tf.custom_gradient
    def activate(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        y = tf.nn.leaky_relu(x, alpha=negative_slope)
        sign = tf.stop_gradient(y)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=sign, alpha=negative_slope)

        return y, gradient

    return activate(x)
