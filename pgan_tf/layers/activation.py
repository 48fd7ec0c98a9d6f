"""Activation and pixel norm: what follows each hidden layer (section 4.2, appendix A)."""

from typing import Any

import keras
import tensorflow as tf

from pgan_tf.layers.kernels.custom_gradients import leaky_relu, pixel_norm


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
        """Activate a tensor of any shape."""
        return leaky_relu(inputs, self.negative_slope)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


@keras.saving.register_keras_serializable("pgan_tf")
class PixelNorm(keras.layers.Layer):
    """Scales every pixel's feature vector to unit mean square: x / sqrt(mean_c(x^2) + epsilon).

    For any `[b ... c]`: feature maps, or latents, which are a single "pixel". The mean is taken in
    float32 whatever the layer's precision.

    Args:
      epsilon: added to the mean square.
    """

    def __init__(self, epsilon: float = 1e-8, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalize `[b ... c]`."""
        return pixel_norm(inputs, self.epsilon)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
