"""Layers with equalized learning rate."""

import keras
import numpy as np
import pytest

from pgan_tf.layers import ChannelBias, EqualizedConv2D, EqualizedDense
from tests.helpers import layer_reference as reference


@pytest.fixture
def images(rng):
    return rng.normal(size=[2, 8, 8, 5]).astype(np.float32)


def expected_output(layer, x):
    kernel, bias = (w.numpy().astype(np.float64) for w in (layer.kernel, layer.bias))
    kernel = kernel * layer.gain / np.sqrt(np.prod(kernel.shape[:3]))
    if layer.resample == "upscale":
        return reference.convolve(reference.upscale(x), kernel, bias)
    if layer.resample == "downscale":
        return reference.downscale(reference.convolve(x, kernel, bias))
    return reference.convolve(x, kernel, bias)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("resample", [None, "upscale", "downscale"])
def test_output_is_the_scaled_convolution_of_the_resampled_image(images, rng, resample, fused):
    layer = EqualizedConv2D(7, resample=resample, fused=fused, gain=1.3)
    layer.build(images.shape)
    layer.bias.assign(rng.normal(size=7))
    output = layer(images)
    assert layer.compute_output_shape(images.shape) == output.shape
    np.testing.assert_allclose(output, expected_output(layer, images), rtol=1e-4, atol=1e-5)


def test_the_bias_is_not_scaled_with_the_kernel(images):
    layer = EqualizedConv2D(3, gain=0.5)
    layer.build(images.shape)
    layer.kernel.assign(np.zeros(layer.kernel.shape))
    layer.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(layer(images)[0, 0, 0], [1.0, 2.0, 3.0])


def test_stored_weights_start_as_unit_normals_whatever_the_size():
    layer = EqualizedConv2D(128, seed=3)
    layer.build([None, 4, 4, 128])
    assert layer.kernel.numpy().std() == pytest.approx(1.0, abs=0.01)
    assert not layer.bias.numpy().any()


def test_equal_seeds_give_equal_weights():
    layers = [EqualizedConv2D(4, seed=seed) for seed in (1, 1, 2)]
    for layer in layers:
        layer.build([None, 4, 4, 4])
    first, same, other = (layer.kernel.numpy() for layer in layers)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_config_makes_an_equal_layer():
    layer = EqualizedConv2D(4, gain=1.0, resample="upscale", fused=False, seed=5, name="conv")
    assert EqualizedConv2D.from_config(layer.get_config()).get_config() == layer.get_config()


def test_unknown_resampling_is_refused():
    with pytest.raises(ValueError, match="resample must be one of .* Received: 'up'"):
        EqualizedConv2D(4, resample="up")


def test_resampling_with_another_kernel_size_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be 3 with resample. Received: 1"):
        EqualizedConv2D(4, 1, resample="upscale")


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


@pytest.mark.parametrize(
    "layer",
    [
        EqualizedDense(3, gain=1.5, use_bias=False, seed=2, name="dense"),
        ChannelBias(name="bias"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_serialization(layer):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
