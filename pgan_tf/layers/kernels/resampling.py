"""Resampling by two, by itself and with a 3x3 convolution, which three methods compute.

All of it is linear, so the 2x2 box that repeats or averages pixels can be moved:

    separate    resample, and convolve at the higher resolution
    kernel_4x4  move the box into the kernel, which grows to 4x4, and convolve with stride 2
    box         convolve with stride 2 and the 3x3 kernel; apply the box on its own, with stride 1

With 4x4 kernels every feature is read and written once, which suits GPUs. The box on its own is one
more pass over memory and saves 7 of 16 multiplications, which suits CPUs
(docs/development/performance.md).
"""

import numpy as np
import tensorflow as tf

METHODS = ("separate", "kernel_4x4", "box")

# [16 9]: how each of the 4x4 weights is summed from the 3x3 ones, over four one-pixel shifts.
_SHIFTED_SUM = np.einsum("ai,bj->abij", *[np.eye(4, 3) + np.eye(4, 3, -1)] * 2).reshape(16, 9)


def upscale2d(x: tf.Tensor) -> tf.Tensor:
    """Repeat each pixel 2x2: `[b h w c]` to `[b 2h 2w c]`."""
    # Not tf.image.resize: its nearest mode has no second-order gradient.
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def downscale2d(x: tf.Tensor) -> tf.Tensor:
    """Take means of 2x2 pixels: `[b 2h 2w c]` to `[b h w c]`."""
    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID")


def fastest_method() -> str:
    """Return the method that was measured to be fastest on this machine's kind of device."""
    return "kernel_4x4" if tf.config.list_physical_devices("GPU") else "box"


def upscale_convolve(x: tf.Tensor, kernel: tf.Tensor, method: str) -> tf.Tensor:
    """Repeat each pixel 2x2, then convolve.

    Args:
      x: `[b h w in]`.
      kernel: `[3 3 in out]`.
      method: one of METHODS.

    Returns:
      `[b 2h 2w out]`.
    """
    if method == "separate":
        return tf.nn.conv2d(upscale2d(x), kernel, strides=1, padding="SAME")
    if method == "kernel_4x4":
        return _transposed(x, transposed_kernel(kernel), margin=0, padding="SAME")
    sums = _transposed(x, _transpose(kernel) * 4.0, margin=1, padding="VALID")
    return tf.nn.avg_pool2d(sums, ksize=2, strides=1, padding="VALID")


def convolve_downscale(x: tf.Tensor, kernel: tf.Tensor, method: str) -> tf.Tensor:
    """Convolve, then take 2x2 means.

    Args:
      x: `[b 2h 2w in]`.
      kernel: `[3 3 in out]`.
      method: one of METHODS.

    Returns:
      `[b h w out]`.
    """
    if method == "separate":
        return downscale2d(tf.nn.conv2d(x, kernel, strides=1, padding="SAME"))
    if method == "kernel_4x4":
        return tf.nn.conv2d(x, _shifted_sum(kernel) * 0.25, strides=2, padding="SAME")
    return tf.nn.conv2d(_padded_means(x), kernel, strides=2, padding="VALID")


def transposed_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """Return the filter of the transposed convolution that upscales and convolves in one.

    Args:
      kernel: `[3 3 in out]`, of the convolution.

    Returns:
      `[4 4 out in]`, for stride 2 and same padding.
    """
    return _shifted_sum(_transpose(kernel))


def _padded_means(x: tf.Tensor) -> tf.Tensor:
    """Take 2x2 means at stride 1 of an image padded by zeros: `[b h w c]` to `[b h+1 w+1 c]`."""
    # The gradient of such means within the image spreads each pixel to the four around its corners,
    # which is the same, and needs no padded copy.
    batch, height, width = _sizes(x)
    return tf.raw_ops.AvgPoolGrad(
        orig_input_shape=tf.stack([batch, height + 1, width + 1, x.shape[3]]),
        grad=x,
        ksize=[1, 2, 2, 1],
        strides=[1, 1, 1, 1],
        padding="VALID",
    )


def _transposed(x: tf.Tensor, kernel: tf.Tensor, *, margin: int, padding: str) -> tf.Tensor:
    """Convolve transposed, with stride 2, to twice the size and a margin."""
    batch, height, width = _sizes(x)
    shape = tf.stack([batch, 2 * height + margin, 2 * width + margin, kernel.shape[2]])
    return tf.nn.conv2d_transpose(x, kernel, shape, strides=2, padding=padding)


def _sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Return b, h and w of `[b h w c]`, as ints where the shape is static."""
    return [x.shape[i] if x.shape[i] is not None else tf.shape(x)[i] for i in range(3)]


def _transpose(kernel: tf.Tensor) -> tf.Tensor:
    """Turn `[3 3 in out]` of a convolution into `[3 3 out in]` of a transposed one."""
    # It spreads each input pixel through its filter, where a convolution gathers: hence the flip
    # and the exchanged channels.
    return tf.transpose(tf.reverse(kernel, axis=[0, 1]), [0, 1, 3, 2])


def _shifted_sum(kernel: tf.Tensor) -> tf.Tensor:
    """Sum a 3x3 kernel over its four one-pixel shifts: `[3 3 ..]` to `[4 4 ..]`."""
    # A product with a constant, because the gradients of slices are slow: 40 % of a step at 8x8.
    shape = kernel.shape[2:]
    spread = tf.constant(_SHIFTED_SUM, kernel.dtype)
    return tf.reshape(tf.matmul(spread, tf.reshape(kernel, [9, -1])), [4, 4, *shape])
