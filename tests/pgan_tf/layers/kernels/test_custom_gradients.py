"""The gradients of a bias against TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers.kernels.custom_gradients import add_bias


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 20, 24, 5), (2, 4, 4, 3), (6, 3)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bias_and_its_gradients_are_those_of_tensorflow(rng, shape, dtype):
    x, upstream = (tf.cast(rng.normal(size=shape).astype(np.float32), dtype) for _ in range(2))
    bias = tf.cast(rng.normal(size=shape[-1:]).astype(np.float32), dtype)

    def values_and_gradients(add):
        with tf.GradientTape() as tape:
            tape.watch([x, bias])
            y = add(x, bias)
        return [y, *tape.gradient(y, [x, bias], upstream)]

    for ours, theirs in zip(
        values_and_gradients(add_bias), values_and_gradients(tf.nn.bias_add), strict=True
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(
            tf.cast(ours, tf.float32), tf.cast(theirs, tf.float32), rtol=1e-5, atol=1e-5
        )


def test_second_derivative_passes_through_a_bias(rng):
    x = tf.constant(rng.normal(size=[2, 16, 16, 3]).astype(np.float32))
    bias = tf.constant(rng.normal(size=[3]).astype(np.float32))
    with tf.GradientTape() as outer:
        outer.watch([x, bias])
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = add_bias(x, bias) ** 3
        penalty = tf.reduce_sum(inner.gradient(y, x))
    by_x, by_bias = outer.gradient(penalty, [x, bias])
    np.testing.assert_allclose(by_x, 6 * (x + bias), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        by_bias, 6 * (x + bias).numpy().sum(axis=(0, 1, 2)), rtol=1e-3, atol=1e-2
    )


def test_the_bias_gradient_of_large_images_is_a_separate_sum():
    def gradient_operations(side):
        @tf.function
        def gradient(x, kernel, bias):
            y = add_bias(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
            return tf.gradients(y, [kernel, bias])

        shapes = [2, side, side, 3], [1, 1, 3, 4], [4]
        graph = gradient.get_concrete_function(*(tf.TensorSpec(s, tf.float32) for s in shapes))
        return {operation.type for operation in graph.graph.get_operations()}

    assert "BiasAddGrad" not in gradient_operations(16)
    assert "BiasAddGrad" in gradient_operations(8)
