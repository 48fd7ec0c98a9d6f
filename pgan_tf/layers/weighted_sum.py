"""The fade between two resolutions (figure 2 of the paper)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pgan_tf")
class WeightedSum(keras.layers.Layer):
    """old + (new - old) * alpha, computed in float32.

    Args:
      alpha: the weight in [0, 1], where it is fixed, as in a saved generator. None: it is the third
        input, a scalar, as in training, where it changes with every step.

    Input: `[old, new]` or `[old, new, alpha]`; old and new of one shape, which is the output's.
    """

    def __init__(self, alpha: float | None = None, **kwargs: Any):
        # Not cast to a lower precision on the way in: in bfloat16 an alpha of 0.9985 would be 1.
        super().__init__(autocast=False, **kwargs)
        self.alpha = alpha

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        old, new = (tf.cast(x, tf.float32) for x in inputs[:2])
        alpha = inputs[2] if self.alpha is None else self.alpha
        return tf.cast(old + (new - old) * alpha, self.compute_dtype)

    def compute_output_shape(
        self, input_shape: Sequence[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}
