"""Minibatch standard deviation and minibatch discrimination against their definitions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import MinibatchDiscrimination, MinibatchStdDev
from tests.helpers import layer_reference as reference


@pytest.mark.parametrize(("batch", "group_size"), [(8, 4), (12, 4), (3, 4), (4, 4), (6, 3), (8, 1)])
def test_the_new_channel_is_each_groups_mean_deviation(rng, batch, group_size):
    x = rng.normal(size=[batch, 4, 4, 3]).astype(np.float32)
    output = MinibatchStdDev(group_size)(x).numpy()
    assert output.shape == (batch, 4, 4, 4)
    np.testing.assert_array_equal(output[..., :3], x)
    expected = reference.minibatch_stddev(x.astype(np.float64), group_size)
    expected = np.broadcast_to(expected[:, None, None], [batch, 4, 4])
    np.testing.assert_allclose(output[..., 3], expected, rtol=1e-4, atol=1e-4)


def test_groups_are_strides_and_not_neighbors():
    # Samples 0 and 2 are equal, and 1 and 3: strided groups of two have no deviation.
    x = np.zeros([4, 4, 4, 1], np.float32)
    x[[1, 3]] = 5.0
    np.testing.assert_allclose(MinibatchStdDev(2)(x)[..., 1], np.full([4, 4, 4], 1e-4), rtol=1e-3)


def test_minibatches_of_a_batch_are_grouped_separately(rng):
    x = rng.normal(size=[16, 4, 4, 3]).astype(np.float32)
    x[8:] *= 3.0
    layer = MinibatchStdDev(4)
    apart = [layer(x[:8]), layer(x[8:])]
    np.testing.assert_allclose(layer(x, parts=2), np.concatenate(apart), rtol=1e-6)


@pytest.mark.parametrize(("batch", "used"), [(5, 1), (6, 3), (9, 3), (10, 2)])
def test_a_batch_that_does_not_divide_uses_its_largest_divisor(rng, batch, used):
    x = rng.normal(size=[batch, 4, 4, 2]).astype(np.float32)
    output = MinibatchStdDev(4)(x).numpy()
    expected = reference.minibatch_stddev(x.astype(np.float64), used)
    np.testing.assert_allclose(output[:, 0, 0, 2], expected, rtol=1e-4)


def test_an_unknown_batch_size_is_found_at_run_time(rng):
    layer = MinibatchStdDev(4)
    dynamic = tf.function(layer, input_signature=[tf.TensorSpec([None, 4, 4, 2])])
    for batch in (4, 6, 8):
        x = rng.normal(size=[batch, 4, 4, 2]).astype(np.float32)
        np.testing.assert_allclose(dynamic(x), layer(x), rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 5, 12])
def test_a_group_size_of_zero_takes_all_samples_together(rng, batch):
    x = rng.normal(size=[batch, 4, 4, 2]).astype(np.float32)
    expected = np.full([batch], np.sqrt(x.astype(np.float64).var(axis=0) + 1e-8).mean())
    dynamic = tf.function(MinibatchStdDev(0), input_signature=[tf.TensorSpec([None, 4, 4, 2])])
    for output in (MinibatchStdDev(0)(x), dynamic(x)):
        np.testing.assert_allclose(output[:, 3, 1, 2], expected, rtol=1e-4)
    both = MinibatchStdDev(0)(np.concatenate([x, 3 * x]), parts=2).numpy()
    np.testing.assert_allclose(both[batch:, 0, 0, 2], 3 * expected, rtol=1e-3, atol=3e-4)
    np.testing.assert_allclose(both[:batch, 0, 0, 2], expected, rtol=1e-4)


def test_a_negative_group_is_refused():
    with pytest.raises(ValueError, match="group_size must be at least 0. Received: -1"):
        MinibatchStdDev(-1)


def built(rng, *, inputs=6, kernels=3, dims=2, dtype="float32"):
    """Return a layer with no weight at its initial value."""
    layer = MinibatchDiscrimination(kernels, dims, seed=1, dtype=dtype)
    layer.build([None, inputs])
    for variable in layer.variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def test_features_are_how_close_the_other_samples_are(rng):
    layer, x = built(rng), rng.normal(size=[5, 6])
    output = layer(tf.constant(x, tf.float32)).numpy()
    assert output.shape == layer.compute_output_shape((5, 6)) == (5, 9)
    np.testing.assert_array_equal(output[:, :6], x.astype(np.float32))
    np.testing.assert_allclose(output[:, 6:], reference.closeness(x, layer), rtol=1e-4, atol=1e-5)


def test_minibatches_of_a_batch_are_compared_separately(rng):
    layer, x = built(rng), rng.normal(size=[8, 6])
    output = layer(tf.constant(x, tf.float32), parts=2).numpy()
    expected = np.concatenate(
        [reference.closeness(x[:4], layer), reference.closeness(x[4:], layer)]
    )
    np.testing.assert_allclose(output[:, 6:], expected, rtol=1e-4, atol=1e-5)


def test_second_derivatives_are_those_of_the_definition(rng):
    # As the gradient penalty needs: the gradient of a gradient norm by the weights.
    layer, x = built(rng, kernels=2), tf.constant(rng.normal(size=[4, 6]), tf.float32)

    def norm():
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.square(layer(x)[:, 6:]))
        return tf.reduce_sum(tf.square(tape.gradient(total, x)))

    with tf.GradientTape() as tape:
        value = norm()
    (gradient,) = tape.gradient(value, [layer.log_scale.value])
    before, step = layer.log_scale.numpy(), 1e-3
    for index in np.ndindex(*before.shape):
        moved = []
        for sign in (1, -1):
            changed = before.copy()
            changed[index] += sign * step
            layer.log_scale.assign(changed)
            moved.append(float(norm()))
        numeric = (moved[0] - moved[1]) / (2 * step)
        np.testing.assert_allclose(gradient[index], numeric, rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_fitted_to_data_the_nearest_are_at_two_and_features_at_zero(rng, size):
    layer, x = built(rng), (size * rng.normal(size=[40, 6])).astype(np.float32)
    layer.fit(x)
    direction, log_scale, _ = (v.numpy() for v in layer.variables)
    columns = direction / np.linalg.norm(direction, axis=0) * np.exp(log_scale)
    projected = np.einsum("ni,ikd->nkd", x, columns)
    distances = np.abs(projected[:, None] - projected[None]).sum(axis=-1)
    distances[np.arange(40), np.arange(40)] = np.inf
    np.testing.assert_allclose(distances.min(axis=1).mean(axis=0), 2.0, rtol=1e-4)
    features = layer(tf.constant(x)).numpy()[:, 6:]
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-5)
    assert (features.std(axis=0) > 0.05).all(), "saturated"


@pytest.mark.parametrize("count", [1, 4])
def test_equal_samples_leave_the_scale(rng, count):
    layer = built(rng)
    layer.fit(np.ones([count, 6], np.float32))
    np.testing.assert_array_equal(layer.log_scale, np.zeros([3, 2]))
    np.testing.assert_array_equal(layer.bias, np.full([3], 1.0 - count))


def test_in_half_precision_distances_are_still_taken_in_float32(rng):
    layer = built(rng, dtype="mixed_bfloat16")
    x = tf.constant(rng.normal(size=[5, 6]), tf.bfloat16)
    output = layer(x)
    assert output.dtype == tf.bfloat16
    expected = reference.closeness(tf.cast(x, tf.float32).numpy(), layer)
    expected = tf.cast(expected.astype(np.float32), tf.bfloat16)
    np.testing.assert_allclose(
        tf.cast(output[:, 6:], tf.float32), tf.cast(expected, tf.float32), rtol=1e-2
    )


def test_discrimination_survives_serialization(rng):
    layer = built(rng)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (again.kernels, again.dims, again.seed) == (3, 2, 1)
