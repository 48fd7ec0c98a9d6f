"""Layer normalisation (Ba et al. 2016)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pgan_tf")
class LayerNorm(keras.layers.Layer):
    """Normalises each sample over all of its features and pixels, then scales and shifts.

    One gain for the whole layer and one bias a feature, as in the paper's table 1 (a); what comes
    before it needs no bias. Computed in float32.

    Args:
      epsilon: added to the variance.

    Input: `[b ... c]`. Output: the same shape.
    """

    def __init__(self, epsilon: float = 1e-4, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones", autocast=False)
        self.bias = self.add_weight(
            name="bias", shape=(input_shape[-1],), initializer="zeros", autocast=False
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.cast(inputs, tf.float32)
        axes = list(range(1, len(x.shape)))
        x -= tf.reduce_mean(x, axis=axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(x), axis=axes, keepdims=True)
        x *= tf.math.rsqrt(variance + self.epsilon) * tf.convert_to_tensor(self.gain)
        return tf.cast(x + tf.convert_to_tensor(self.bias), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
