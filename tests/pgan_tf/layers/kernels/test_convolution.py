"""Convolutions, however they are computed, against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers.kernels.convolution import convolve


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])


def with_gradients(function, x, kernel):
    """Return the output, and the gradients of a penalty on its gradient, as WGAN-GP takes them."""
    with tf.GradientTape() as outer:
        outer.watch([x, kernel])
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = function(x, kernel)
            score = tf.reduce_sum(tf.sin(y))
        slope = inner.gradient(score, x)
        penalty = tf.reduce_sum(tf.square(slope))
    return y, *outer.gradient(penalty, [x, kernel])


def plain(x, kernel):
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


@pytest.mark.parametrize(("channels", "filters"), [(3, 16), (16, 3), (1, 8), (5, 7)])
def test_products_of_pixels_are_convolutions_with_their_gradients(on_gpu, channels, filters):
    random = np.random.default_rng(channels)
    x = tf.constant(random.normal(size=(2, 6, 6, channels)))
    kernel = tf.constant(random.normal(size=(1, 1, channels, filters)))
    products = tf.function(convolve).get_concrete_function(x, kernel)
    assert "Conv2D" not in {operation.type for operation in products.graph.get_operations()}
    for ours, expected in zip(
        with_gradients(convolve, x, kernel), with_gradients(plain, x, kernel), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


def test_products_take_batches_of_any_size(on_gpu):
    spec = tf.TensorSpec([None, None, None, 3], tf.float32)
    kernel = tf.random.stateless_normal([1, 1, 3, 4], [1, 2])
    function = tf.function(lambda x: convolve(x, kernel), input_signature=[spec])
    images = tf.random.stateless_normal([5, 8, 4, 3], [3, 4])
    np.testing.assert_allclose(function(images), plain(images, kernel), rtol=1e-5, atol=1e-6)


def test_cpus_and_larger_kernels_convolve(monkeypatch):
    def operations(size):
        x, kernel = tf.ones([1, 8, 8, 3]), tf.ones([size, size, 3, 4], tf.float32)
        graph = tf.function(convolve).get_concrete_function(x, kernel).graph
        return {operation.type for operation in graph.get_operations()}

    assert "Conv2D" in operations(1)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    assert "Conv2D" in operations(3)
