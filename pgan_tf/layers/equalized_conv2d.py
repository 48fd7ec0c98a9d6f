"""Convolution with equalized learning rate, optionally resampling by two."""

from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config.network import RELU_GAIN
from pgan_tf.layers.bias import add_bias
from pgan_tf.layers.equalized import normal, scales
from pgan_tf.layers.kernels import winograd
from pgan_tf.layers.kernels.resampling_convolution import (
    convolve_downscale,
    fastest_method,
    upscale_convolve,
)

RESAMPLINGS = (None, "upscale", "downscale")


@keras.saving.register_keras_serializable("pgan_tf")
class EqualizedConv2D(keras.layers.Layer):
    """2D convolution, same padding, whose stored kernel is scaled by gain / sqrt(fan_in) when used.

    `resample="upscale"` repeats each pixel 2x2 before the convolution; `resample="downscale"` takes
    2x2 means after it. With `fused` on that is computed as a strided convolution, off in two steps
    (`resampling_convolution.py`). Small images are convolved by Winograd's filtering where that is
    faster (`winograd.py`). The stored kernel and, up to rounding, the output are the same.

    Args:
      filters: output channels.
      kernel_size: side of the kernel in pixels; 3 where `resample` is set.
      gain: He's constant of what follows: sqrt(2) for a ReLU, 1 for nothing.
      resample: None, "upscale" or "downscale".
      fused: how to compute the resampling; see above.
      use_bias: whether to add a bias, which is never scaled.
      equalized: off: the kernel is scaled once, at the start, and used as it is stored.
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
        super().__init__(**kwargs)
        if resample not in RESAMPLINGS:
            raise ValueError(f"resample must be one of {RESAMPLINGS}. Received: {resample!r}")
        if resample is not None and kernel_size != 3:
            raise ValueError(f"kernel_size must be 3 with resample. Received: {kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.gain = gain
        self.resample = resample
        self.fused = fused
        self.use_bias = use_bias
        self.equalized = equalized
        self.seed = seed

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        fan_in = self.kernel_size**2 * input_shape[-1]
        stddev, self._scale = scales(self.gain, fan_in, equalized=self.equalized)
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=normal(stddev, self.seed)
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    @property
    def scaled_kernel(self) -> tf.Tensor:
        """The kernel as it is used, `[k k in out]`: the stored one times gain / sqrt(fan_in)."""
        return tf.convert_to_tensor(self.kernel) * self._scale

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self._convolve(inputs, self.scaled_kernel)
        return add_bias(x, tf.convert_to_tensor(self.bias)) if self.use_bias else x

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self.resample is None:
            if winograd.is_faster(x, kernel):
                return winograd.convolve(x, kernel)
            return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
        resample = upscale_convolve if self.resample == "upscale" else convolve_downscale
        return resample(x, kernel, fastest_method() if self.fused else "separate")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        sides = tuple(
            None if side is None else _resampled(side, self.resample) for side in input_shape[1:3]
        )
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "gain": self.gain,
            "resample": self.resample,
            "fused": self.fused,
            "use_bias": self.use_bias,
            "equalized": self.equalized,
            "seed": self.seed,
        }


def _resampled(side: int, resample: str | None) -> int:
    return {None: side, "upscale": 2 * side, "downscale": (side + 1) // 2}[resample]
