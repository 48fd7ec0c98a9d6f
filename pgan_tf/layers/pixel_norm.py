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
        return pixel_norm(inputs, self.epsilon)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


def pixel_norm(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Pixel norm of `[b ... c]`, with a gradient of few passes over memory."""

    # Written out, because TensorFlow's would fill tensors of the size of x with copies of numbers
    # that are one a pixel.
    @tf.custom_gradient
    def normalize(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        scale = tf.cast(tf.math.rsqrt(_mean_square(x) + epsilon), x.dtype)  # [b ... 1]
        y = x * scale

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            along = tf.cast(_mean(upstream * y), x.dtype)  # the part that changes only the length
            return (upstream - y * along) * scale

        return y, gradient

    return normalize(x)


def _mean_square(x: tf.Tensor) -> tf.Tensor:
    return _mean(tf.square(tf.cast(x, tf.float32)))


def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(x, tf.float32), axis=-1, keepdims=True)
