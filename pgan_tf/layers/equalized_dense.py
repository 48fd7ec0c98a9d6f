"""Fully connected layer with equalized learning rate."""

from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config.network import RELU_GAIN
from pgan_tf.layers.bias import add_bias
from pgan_tf.layers.equalized import normal, scales


@keras.saving.register_keras_serializable("pgan_tf")
class EqualizedDense(keras.layers.Layer):
    """Matrix product whose stored kernel is scaled by gain / sqrt(fan_in) when used.

    Args:
      units: output components.
      gain: He's constant of what follows: sqrt(2) for a ReLU, 1 for nothing.
      use_bias: whether to add a bias, which is never scaled.
      equalized: off: the kernel is scaled once, at the start, and used as it is stored.
      seed: of the kernel's initial values, N(0, 1) before scaling.

    Input: `[b in]`. Output: `[b units]`.
    """

    def __init__(
        self,
        units: int,
        *,
        gain: float = RELU_GAIN,
        use_bias: bool = True,
        equalized: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.gain = gain
        self.use_bias = use_bias
        self.equalized = equalized
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = (input_shape[-1], self.units)
        stddev, self._scale = scales(self.gain, shape[0], equalized=self.equalized)
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=normal(stddev, self.seed)
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    @property
    def scaled_kernel(self) -> tf.Tensor:
        """The kernel as it is used, `[in units]`: the stored one times gain / sqrt(fan_in)."""
        return tf.convert_to_tensor(self.kernel) * self._scale

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.matmul(inputs, self.scaled_kernel)
        return add_bias(x, tf.convert_to_tensor(self.bias)) if self.use_bias else x

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "gain": self.gain,
            "use_bias": self.use_bias,
            "equalized": self.equalized,
            "seed": self.seed,
        }
