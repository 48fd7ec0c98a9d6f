"""Growing (section 2, figure 2): resampling by two, and the fade between two resolutions."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.layers.kernels.resampling import downscale2d, upscale2d


@keras.saving.register_keras_serializable("pgan_tf")
class UpScale2D(keras.layers.Layer):
    """Doubles the resolution by repeating pixels: `[b h w c]` to `[b 2h 2w c]`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Upscale `[b h w c]`."""
        return upscale2d(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(b, 2h, 2w, c)`."""
        batch, height, width, channels = input_shape
        return (batch, height and 2 * height, width and 2 * width, channels)


@keras.saving.register_keras_serializable("pgan_tf")
class DownScale2D(keras.layers.Layer):
    """Halves the resolution by 2x2 means: `[b 2h 2w c]` to `[b h w c]`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Downscale `[b 2h 2w c]`."""
        return downscale2d(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(b, h, w, c)` for `(b, 2h, 2w, c)`."""
        batch, height, width, channels = input_shape
        return (batch, height and height // 2, width and width // 2, channels)


@keras.saving.register_keras_serializable("pgan_tf")
class WeightedSum(keras.layers.Layer):
    """The fade: old + (new - old) * alpha, computed in float32.

    Args:
      alpha: weight of the new in [0, 1], where it is constant, as in a saved generator. None: it is
        the third input, a scalar, as in training, where it changes with every step.

    Input: `[old, new]` or `[old, new, alpha]`; old, new and the output have one shape.
    """

    def __init__(self, alpha: float | None = None, **kwargs: Any):
        # Inputs are not cast to a lower precision: in bfloat16 an alpha of 0.9985 would be 1.
        super().__init__(autocast=False, **kwargs)
        self.alpha = alpha

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Sum `[old, new]` or `[old, new, alpha]`."""
        old, new = (tf.cast(x, tf.float32) for x in inputs[:2])
        alpha = inputs[2] if self.alpha is None else self.alpha
        return tf.cast(old + (new - old) * alpha, self.compute_dtype)

    def compute_output_shape(
        self, input_shape: Sequence[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """Return the shape of `old`."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha}
