import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers.kernels import resampling
from pgan_tf.layers.kernels.resampling import (
    METHODS,
    convolve_downscale,
    upscale_convolve,
)
from tests.helpers import layer_reference as reference

RESAMPLERS = {"upscale": upscale_convolve, "downscale": convolve_downscale}


@pytest.fixture
def images(rng):
    return rng.normal(size=[2, 8, 6, 5]).astype(np.float32)


@pytest.fixture
def kernel(rng):
    return rng.normal(size=[3, 3, 5, 7]).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_upscale_and_convolve(images, kernel, method):
    expected = reference.convolve(reference.upscale(images), kernel, np.zeros(7))
    actual = upscale_convolve(tf.constant(images), tf.constant(kernel), method)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_convolve_and_downscale(images, kernel, method):
    expected = reference.downscale(reference.convolve(images, kernel, np.zeros(7)))
    actual = convolve_downscale(tf.constant(images), tf.constant(kernel), method)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("name", RESAMPLERS)
def test_all_methods_have_the_same_first_and_second_gradients(images, kernel, name, method):
    def gradients(method):
        x, k = tf.constant(images), tf.constant(kernel)
        with tf.GradientTape() as outer:
            outer.watch([x, k])
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = tf.reduce_sum(tf.square(RESAMPLERS[name](x, k, method)))
            slope = inner.gradient(total, x)
            norm = tf.reduce_sum(tf.square(slope))
        return [slope, *outer.gradient(norm, [x, k])]

    for actual, expected in zip(gradients(method), gradients("separate"), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_size_of_images_may_be_unknown(images, kernel, method):
    for resample in RESAMPLERS.values():
        unknown = tf.TensorSpec([None, None, None, 5])
        traced = tf.function(
            lambda x, resample=resample: resample(x, kernel, method), input_signature=[unknown]
        )
        np.testing.assert_allclose(
            traced(images), resample(tf.constant(images), kernel, method), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(("gpus", "method"), [([], "box"), (["GPU:0"], "kernel_4x4")])
def test_the_method_is_the_devices(monkeypatch, gpus, method):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert resampling.fastest_method() == method
