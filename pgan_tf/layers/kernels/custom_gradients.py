"""Biases, leaky ReLU and pixel norm, with gradients that cost less than TensorFlow's own.

All of them can be differentiated twice, which the gradient penalty needs.
"""

from typing import Any

import tensorflow as tf

# Images of so many pixels and more were measured to be faster with a separate sum as the gradient.
_MIN_PIXELS = 16 * 16


def add_bias(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Add one value to each channel: `[b ... c]` and `[c]` to `[b ... c]`."""
    pixels = x.shape[1:-1].num_elements()
    if x.dtype != tf.float32 or pixels is None or pixels < _MIN_PIXELS:
        return tf.nn.bias_add(x, bias)

    # In float32, oneDNN computes TensorFlow's own gradient of a bias along with that of the kernel
    # before it, and is slow at it: 2 ms for 32x32 RGB and 64 features, where a sum takes 0.5 ms.
    @tf.custom_gradient
    def add(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return upstream, tf.reduce_sum(upstream, axis=list(range(x.shape.rank - 1)))

        return tf.nn.bias_add(x, bias), gradient

    return add(x, bias)


def leaky_relu(x: tf.Tensor, negative_slope: float) -> tf.Tensor:
    """Return x where it is above 0, else x times `negative_slope`; any shape."""

    # The gradient needs the output alone. TensorFlow's own keeps the input, and makes its second
    # derivative, which is zero, a tensor of zeros to be added.
    @tf.custom_gradient
    def activate(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        y = tf.nn.leaky_relu(x, alpha=negative_slope)
        sign = tf.stop_gradient(y)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=sign, alpha=negative_slope)

        return y, gradient

    return activate(x)


def pixel_norm(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Return x / sqrt(mean_c(x^2) + epsilon) for `[b ... c]`, the mean taken in float32."""

    # TensorFlow's own gradient would fill tensors of the size of x with copies of numbers that are
    # one a pixel.
    @tf.custom_gradient
    def normalize(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        mean_square = _mean(tf.square(tf.cast(x, tf.float32)))
        scale = tf.cast(tf.math.rsqrt(mean_square + epsilon), x.dtype)  # [b ... 1]
        y = x * scale

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            along = tf.cast(_mean(upstream * y), x.dtype)  # the part that changes the length only
            return (upstream - y * along) * scale

        return y, gradient

    return normalize(x)


def _mean(x: tf.Tensor) -> tf.Tensor:
    """Mean over channels in float32: `[b ... c]` to `[b ... 1]`."""
    return tf.reduce_mean(tf.cast(x, tf.float32), axis=-1, keepdims=True)
