"""Layers that need only a test or two each."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import (
    ChannelBias,
    DownScale2D,
    EqualizedDense,
    LeakyReLU,
    PixelNorm,
    UpScale2D,
    WeightedSum,
)
from tests.helpers import layer_reference as reference


def test_dense_scales_its_kernel_and_not_its_bias(rng):
    layer = EqualizedDense(3, gain=2.0)
    layer.build([None, 5])
    layer.bias.assign([1.0, 2.0, 3.0])
    x = rng.normal(size=[4, 5]).astype(np.float32)
    expected = x @ (layer.kernel.numpy() * 2.0 / np.sqrt(5)) + [1.0, 2.0, 3.0]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_dense_without_bias_has_one_weight():
    layer = EqualizedDense(3, use_bias=False)
    layer.build([None, 5])
    assert [w.name for w in layer.weights] == ["kernel"]


def test_channel_bias_adds_one_value_a_channel():
    layer = ChannelBias()
    layer.build([None, 2, 2, 3])
    layer.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(layer(np.zeros([1, 2, 2, 3]))[0, 1, 1], [1.0, 2.0, 3.0])


def test_pixel_norm_gives_unit_mean_square(rng):
    x = rng.normal(size=[2, 4, 4, 6]).astype(np.float32) * 7
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(PixelNorm()(x), expected, rtol=1e-5)


def test_pixel_norm_of_large_float16_values_does_not_overflow():
    x = np.full([1, 1, 1, 4], 1000.0, np.float16)
    np.testing.assert_allclose(PixelNorm(dtype="float16")(x), np.ones([1, 1, 1, 4]), rtol=1e-3)


def test_upscale_repeats_and_downscale_averages(rng):
    x = rng.normal(size=[2, 4, 4, 3]).astype(np.float32)
    np.testing.assert_array_equal(UpScale2D()(x), reference.upscale(x))
    np.testing.assert_allclose(DownScale2D()(x), reference.downscale(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, 3.0), (0.25, 4.0), (1.0, 7.0)])
def test_weighted_sum_goes_from_old_to_new(alpha, expected):
    old, new = tf.constant([[3.0]]), tf.constant([[7.0]])
    assert WeightedSum()([old, new, tf.constant(alpha)]) == expected
    assert WeightedSum(alpha=alpha)([old, new]) == expected


def test_weighted_sum_keeps_alpha_exact_in_lower_precision():
    old, new = tf.constant([[-1.0]], tf.bfloat16), tf.constant([[0.0]], tf.bfloat16)
    output = WeightedSum(dtype="mixed_bfloat16")([old, new, tf.constant(0.9985)])
    assert output.dtype == tf.bfloat16
    # An alpha rounded to bfloat16 would be 1, and the output 0.
    assert float(output[0, 0]) == pytest.approx(-0.0015, rel=0.01)


@pytest.mark.parametrize(
    "layer",
    [
        EqualizedDense(3, gain=1.5, use_bias=False, seed=2, name="dense"),
        ChannelBias(name="bias"),
        PixelNorm(epsilon=1e-4, name="norm"),
        UpScale2D(name="up"),
        DownScale2D(name="down"),
        WeightedSum(alpha=0.5, name="fade"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_serialization(layer):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()


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
