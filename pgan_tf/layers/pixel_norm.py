"""Pixelwise feature vector normalization (section 4.2 of the paper)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pgan_tf")
class PixelNorm(keras.layers.Layer):
    """Scales every pixel's feature vector to unit mean square: x / sqrt(mean_c(x^2) + epsilon).

    Works on any `[b ... c]`: images of features, or latents, which are a single "pixel". The mean
    is taken in float32 whatever the layer's precision.

    Args:
      epsilon: keeps a vector of zeros at zeros.
    """

    def __init__(self, epsilon: float = 1e-8, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean_square = tf.reduce_mean(tf.square(tf.cast(inputs, tf.float32)), axis=-1, keepdims=True)
        return inputs * tf.cast(tf.math.rsqrt(mean_square + self.epsilon), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
