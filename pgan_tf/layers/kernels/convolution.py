"""Convolutions, each computed by the method that was measured to be fastest."""

import tensorflow as tf

from pgan_tf.layers.kernels import resampling, winograd


def convolve(
    x: tf.Tensor, kernel: tf.Tensor, *, resample: str | None = None, fused: bool = True
) -> tf.Tensor:
    """Convolve with same padding, and resample by two.

    Args:
      x: `[b h w in]`.
      kernel: `[k k in out]`; 3x3 where `resample` is set.
      resample: "upscale" repeats each pixel 2x2 before the convolution, "downscale" takes 2x2 means
        after it; None does neither.
      fused: whether resampling and convolution may be computed in one.

    Returns:
      `[b h' w' out]`, with h' = h, 2h or h/2.
    """
    if resample is None:
        if winograd.is_faster(x, kernel):
            return winograd.convolve(x, kernel)
        return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
    method = resampling.fastest_method() if fused else "separate"
    if resample == "upscale":
        return resampling.upscale_convolve(x, kernel, method)
    return resampling.convolve_downscale(x, kernel, method)
