"""Leaky ReLU and pixel norm."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import LeakyReLU, PixelNorm


def test_pixel_norm_gives_unit_mean_square(rng):
    x = rng.normal(size=[2, 4, 4, 6]).astype(np.float32) * 7
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(PixelNorm()(x), expected, rtol=1e-5)


def test_pixel_norm_of_large_float16_values_does_not_overflow():
    x = np.full([1, 1, 1, 4], 1000.0, np.float16)
    np.testing.assert_allclose(PixelNorm(dtype="float16")(x), np.ones([1, 1, 1, 4]), rtol=1e-3)


@pytest.mark.parametrize("slope", [0.2, 0.0])
def test_leaky_relu_and_its_gradients(rng, slope):
    x = tf.constant(rng.normal(size=[3, 5]).astype(np.float32))
    layer = LeakyReLU(slope)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = layer(x)
            total = tf.reduce_sum(tf.square(y))
        gradient = inner.gradient(total, x)
    factors = np.where(x.numpy() > 0, 1.0, slope)
    np.testing.assert_allclose(y, x * factors, rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * x * factors**2, rtol=1e-6)
    np.testing.assert_allclose(outer.gradient(gradient, x), 2 * factors**2, rtol=1e-6)
    assert LeakyReLU.from_config(layer.get_config()).negative_slope == slope


@pytest.mark.parametrize(
    "layer",
    [
        PixelNorm(epsilon=1e-4, name="norm"),
        LeakyReLU(0.3, name="activation"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_serialization(layer):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
