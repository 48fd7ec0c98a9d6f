"""Batch and layer norm against their definitions, differentiated twice."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import BatchNorm, LayerNorm

EPSILON = 1e-4


def built(layer, channels, rng):
    """Return a layer with weights other than the initial ones, and the weights by name."""
    layer.build([None, channels])
    for variable in layer.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return layer, {v.name: v.numpy().astype(np.float64) for v in layer.variables}


@pytest.mark.parametrize("shape", [[6, 2, 3, 5], [6, 5]])
def test_batch_norm_takes_the_statistics_of_each_minibatch(rng, shape):
    layer, weights = built(BatchNorm(), 5, rng)
    x = rng.normal(3.0, 2.0, shape)
    actual = layer(tf.constant(x, tf.float32), training=True, parts=2)
    axes = tuple(range(len(shape) - 1))
    means, variances = [], []
    for part, normalized in zip(np.split(x, 2), np.split(actual.numpy(), 2), strict=True):
        means.append(part.mean(axes))
        variances.append(part.var(axes))
        expected = (part - means[-1]) / np.sqrt(variances[-1] + EPSILON)
        expected = expected * weights["scale"] + weights["bias"]
        np.testing.assert_allclose(normalized, expected, atol=1e-5)
    for name, values in (("moving_mean", means), ("moving_variance", variances)):
        expected = 0.9 * weights[name] + 0.1 * np.mean(values, axis=0)
        np.testing.assert_allclose(getattr(layer, name), expected, rtol=1e-5)


def test_batch_norm_uses_moving_averages_outside_of_training(rng):
    layer, weights = built(BatchNorm(), 5, rng)
    x = rng.normal(3.0, 2.0, [4, 2, 2, 5])
    expected = (x - weights["moving_mean"]) / np.sqrt(weights["moving_variance"] + EPSILON)
    expected = expected * weights["scale"] + weights["bias"]
    np.testing.assert_allclose(layer(tf.constant(x, tf.float32)), expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, weights["moving_mean"], rtol=1e-6)


def test_batch_norm_keeps_its_moving_averages_finite(rng):
    layer, weights = built(BatchNorm(), 2, rng)
    x = rng.normal(size=[4, 2]).astype(np.float32)
    x[1, 0] = np.inf
    layer(tf.constant(x), training=True)
    assert layer.moving_mean.numpy()[0] == np.float32(weights["moving_mean"][0])
    assert np.isfinite(layer.moving_variance.numpy()).all()
    assert layer.moving_mean.numpy()[1] != np.float32(weights["moving_mean"][1])


@pytest.mark.parametrize("shape", [[4, 2, 3, 5], [4, 5]])
def test_layer_norm_takes_the_statistics_of_each_sample(rng, shape):
    layer, weights = built(LayerNorm(), 5, rng)
    x = rng.normal(3.0, 2.0, shape)
    expected = [
        (sample - sample.mean()) / np.sqrt(sample.var() + EPSILON) * weights["gain"] for sample in x
    ] + weights["bias"]
    assert weights["gain"].shape == ()
    np.testing.assert_allclose(layer(tf.constant(x, tf.float32)), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
def test_gradients_and_gradients_of_gradients_are_those_of_the_formula(rng, kind):
    layer, weights = built(kind(), 3, rng)
    is_batch = kind is BatchNorm
    axes = [0, 1, 2] if is_batch else [1, 2, 3]
    gain = weights["scale" if is_batch else "gain"]
    x = rng.normal(size=[3, 2, 2, 3])
    direction = rng.normal(size=x.shape)  # so that no gradient is zero by symmetry

    def formula(x):
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        return (x - mean) / tf.sqrt(variance + EPSILON) * gain + weights["bias"]

    def ours(x):
        return layer(x, training=True) if is_batch else layer(x)

    results = []
    for function, dtype in ((ours, tf.float32), (formula, tf.float64)):
        inputs = tf.constant(x, dtype)
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                loss = tf.reduce_sum(tf.sin(function(inputs)) * tf.constant(direction, dtype))
            first = inner.gradient(loss, inputs)
            penalty = tf.reduce_sum(tf.square(first))
        results.append((first, outer.gradient(penalty, inputs)))
    for actual, expected in zip(*results, strict=True):
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
def test_only_the_output_has_half_precision(rng, kind):
    full, half = kind(), kind(dtype="mixed_bfloat16")
    for layer in (full, half):
        layer.build([None, 3])
    x = tf.constant(rng.normal(100.0, 1.0, [8, 3]), tf.bfloat16)
    kwargs = {"training": True} if kind is BatchNorm else {}
    assert half(x, **kwargs).dtype == tf.bfloat16
    np.testing.assert_array_equal(
        half(x, **kwargs), tf.cast(full(tf.cast(x, tf.float32), **kwargs), tf.bfloat16)
    )


@pytest.mark.parametrize("layer", [BatchNorm(momentum=0.5, epsilon=0.1), LayerNorm(epsilon=0.1)])
def test_norms_survive_serialization(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert again.epsilon == 0.1
