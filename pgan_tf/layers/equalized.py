"""Convolution and dense layers with equalized learning rate (section 4.1), and a lone bias."""

import math
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config.network import RELU_GAIN
from pgan_tf.layers.kernels.convolution import convolve
from pgan_tf.layers.kernels.custom_gradients import add_bias

RESAMPLINGS = (None, "upscale", "downscale")


class _EqualizedLayer(keras.layers.Layer):
    """A product with a stored kernel, which is scaled by gain / sqrt(fan_in) when used.

    Args:
      features: of the output.
      gain: He's constant: sqrt(2) before a ReLU, 1 without an activation.
      use_bias: whether to add a bias, which is never scaled.
      equalized: off: the kernel is scaled once, at the start, and used as stored.
      seed: of the kernel's initial values, N(0, 1) before scaling.
    """

    def __init__(
        self,
        features: int,
        *,
        gain: float,
        use_bias: bool,
        equalized: bool,
        seed: int | None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._features = features
        self.gain = gain
        self.use_bias = use_bias
        self.equalized = equalized
        self.seed = seed

    def _add_weights(self, kernel_shape: tuple[int, ...]) -> None:
        """Create the kernel, `[.. in out]`, and the bias, `[out]`."""
        he = self.gain / math.sqrt(math.prod(kernel_shape[:-1]))
        stddev, self._scale = (1.0, he) if self.equalized else (he, 1.0)
        normal = keras.initializers.RandomNormal(mean=0.0, stddev=stddev, seed=self.seed)
        self.kernel = self.add_weight(name="kernel", shape=kernel_shape, initializer=normal)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self._features,), initializer="zeros")

    @property
    def scaled_kernel(self) -> tf.Tensor:
        """The kernel as used, `[.. in out]`: the stored one times gain / sqrt(fan_in)."""
        return tf.convert_to_tensor(self.kernel) * self._scale

    def _biased(self, x: tf.Tensor) -> tf.Tensor:
        return add_bias(x, tf.convert_to_tensor(self.bias)) if self.use_bias else x

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "gain": self.gain,
            "use_bias": self.use_bias,
            "equalized": self.equalized,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("pgan_tf")
class EqualizedConv2D(_EqualizedLayer):
    """2D convolution, same padding, with equalized learning rate, optionally resampling by two.

    `resample="upscale"` repeats each pixel 2x2 before the convolution; `resample="downscale"` takes
    2x2 means after it. `kernels/convolution.py` chooses how that is computed, without a difference
    to the stored kernel and, up to rounding, to the output.

    Args:
      filters: output channels.
      kernel_size: side of the kernel in pixels; 3 where `resample` is set.
      gain: He's constant: sqrt(2) before a ReLU, 1 without an activation.
      resample: None, "upscale" or "downscale".
      fused: whether resampling may be computed as a strided convolution; off: in two steps.
      use_bias: whether to add a bias, which is never scaled.
      equalized: off: the kernel is scaled once, at the start, and used as stored.
      seed: of the kernel's initial values, N(0, 1) before scaling.

    Input: `[b h w in]`. Output: `[b h' w' filters]`, with h' = h, 2h or h/2.

    Raises:
      ValueError: an unknown `resample`, or one with a kernel that is not 3x3.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        gain: float = RELU_GAIN,
        resample: str | None = None,
        fused: bool = True,
        use_bias: bool = True,
        equalized: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            filters, gain=gain, use_bias=use_bias, equalized=equalized, seed=seed, **kwargs
        )
        if resample not in RESAMPLINGS:
            raise ValueError(f"resample must be one of {RESAMPLINGS}. Received: {resample!r}")
        if resample is not None and kernel_size != 3:
            raise ValueError(f"kernel_size must be 3 with resample. Received: {kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.resample = resample
        self.fused = fused

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Create the weights for inputs `(b, h, w, in)`."""
        self._add_weights((self.kernel_size, self.kernel_size, input_shape[-1], self.filters))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve `[b h w in]`."""
        x = convolve(inputs, self.scaled_kernel, resample=self.resample, fused=self.fused)
        return self._biased(x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(b, h', w', filters)`."""
        sides = tuple(
            None if side is None else _resampled(side, self.resample) for side in input_shape[1:3]
        )
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "resample": self.resample,
            "fused": self.fused,
        }


def _resampled(side: int, resample: str | None) -> int:
    return {None: side, "upscale": 2 * side, "downscale": (side + 1) // 2}[resample]


@keras.saving.register_keras_serializable("pgan_tf")
class EqualizedDense(_EqualizedLayer):
    """Fully connected layer with equalized learning rate.

    Args:
      units: output components.
      gain: He's constant: sqrt(2) before a ReLU, 1 without an activation.
      use_bias: whether to add a bias, which is never scaled.
      equalized: off: the kernel is scaled once, at the start, and used as stored.
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
        super().__init__(
            units, gain=gain, use_bias=use_bias, equalized=equalized, seed=seed, **kwargs
        )
        self.units = units

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Create the weights for inputs `(b, in)`."""
        self._add_weights((input_shape[-1], self.units))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Multiply `[b in]` by the kernel."""
        return self._biased(tf.matmul(inputs, self.scaled_kernel))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(b, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("pgan_tf")
class ChannelBias(keras.layers.Layer):
    """Adds one value to each channel, starting at 0: `[b h w c]` to `[b h w c]`.

    The generator's first dense layer fills 4x4 pixels but has one bias a feature map.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the bias for inputs `(b, h, w, c)`."""
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Add the bias to `[b h w c]`."""
        return add_bias(inputs, tf.convert_to_tensor(self.bias))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape
