"""Convolution with equalized learning rate, optionally resampling by two."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.layers.equalized import RELU_GAIN, normal, scales
from pgan_tf.layers.resample import downscale2d, upscale2d

# [16 9]: how each of the 4x4 weights is summed from the 3x3 ones, over four one-pixel shifts.
_SHIFTED_SUM = np.einsum("ai,bj->abij", *[np.eye(4, 3) + np.eye(4, 3, -1)] * 2).reshape(16, 9)

RESAMPLINGS = (None, "upscale", "downscale")


@keras.saving.register_keras_serializable("pgan_tf")
class EqualizedConv2D(keras.layers.Layer):
    """2D convolution, same padding, whose stored kernel is scaled by gain / sqrt(fan_in) when used.

    `resample="upscale"` repeats each pixel 2x2 before the convolution; `resample="downscale"` takes
    2x2 means after it. Both are linear, so they fold into one strided convolution with a 4x4
    kernel, which is how they are computed with `fused` on; off, they are computed in two steps. The
    stored kernel and, up to rounding, the output are the same.

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
        return tf.nn.bias_add(x, tf.convert_to_tensor(self.bias)) if self.use_bias else x

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self.resample is None:
            return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
        if self.resample == "upscale":
            if self.fused:
                return _upscale_convolve(x, kernel)
            return tf.nn.conv2d(upscale2d(x), kernel, strides=1, padding="SAME")
        if self.fused:
            return tf.nn.conv2d(x, _shifted_sum(kernel) * 0.25, strides=2, padding="SAME")
        return downscale2d(tf.nn.conv2d(x, kernel, strides=1, padding="SAME"))

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


def _upscale_convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Upscale by repetition, then convolve, as one transposed convolution of stride 2."""
    batch = x.shape[0] if x.shape[0] is not None else tf.shape(x)[0]
    height, width = (x.shape[i] if x.shape[i] is not None else tf.shape(x)[i] for i in (1, 2))
    return tf.nn.conv2d_transpose(
        x,
        transposed_kernel(kernel),
        output_shape=tf.stack([batch, 2 * height, 2 * width, kernel.shape[3]]),
        strides=2,
        padding="SAME",
    )


def transposed_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """The filter of the transposed convolution that upscales and convolves in one.

    Args:
      kernel: `[3 3 in out]`, of the convolution.

    Returns:
      `[4 4 out in]`, for stride 2 and same padding.
    """
    # A transposed convolution spreads each input pixel through its filter, where a convolution
    # gathers: hence the flip and the exchanged channels.
    return _shifted_sum(tf.transpose(tf.reverse(kernel, axis=[0, 1]), [0, 1, 3, 2]))


def _shifted_sum(kernel: tf.Tensor) -> tf.Tensor:
    """A 3x3 kernel summed over its four one-pixel shifts: [3 3 ..] to [4 4 ..]."""
    # A product with a constant, because the gradients of slices are slow: 40 % of a step at 8x8.
    shape = kernel.shape[2:]
    spread = tf.constant(_SHIFTED_SUM, kernel.dtype)
    return tf.reshape(tf.matmul(spread, tf.reshape(kernel, [9, -1])), [4, 4, *shape])


def _resampled(side: int, resample: str | None) -> int:
    return {None: side, "upscale": 2 * side, "downscale": (side + 1) // 2}[resample]
