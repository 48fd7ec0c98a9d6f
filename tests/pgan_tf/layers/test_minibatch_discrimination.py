import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import MinibatchDiscrimination


def built(rng, *, inputs=6, kernels=3, dims=2, dtype="float32"):
    """A layer with no weight at its initial value."""
    layer = MinibatchDiscrimination(kernels, dims, seed=1, dtype=dtype)
    layer.build([None, inputs])
    for variable in layer.variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def closeness(x, layer):
    """The appended features by the definition, in float64, sample by sample."""
    direction, log_scale, bias = (v.numpy().astype(np.float64) for v in layer.variables)
    features = np.empty([len(x), layer.kernels])
    for k in range(layer.kernels):
        columns = direction[:, k] / np.linalg.norm(direction[:, k], axis=0) * np.exp(log_scale[k])
        projected = x @ columns
        for i, own in enumerate(projected):
            others = np.delete(projected, i, axis=0)
            features[i, k] = np.exp(-np.abs(others - own).sum(axis=1)).sum() + bias[k]
    return features


def test_features_are_how_close_the_other_samples_are(rng):
    layer, x = built(rng), rng.normal(size=[5, 6])
    output = layer(tf.constant(x, tf.float32)).numpy()
    assert output.shape == layer.compute_output_shape((5, 6)) == (5, 9)
    np.testing.assert_array_equal(output[:, :6], x.astype(np.float32))
    np.testing.assert_allclose(output[:, 6:], closeness(x, layer), rtol=1e-4, atol=1e-5)


def test_parts_of_a_batch_are_compared_apart(rng):
    layer, x = built(rng), rng.normal(size=[8, 6])
    output = layer(tf.constant(x, tf.float32), parts=2).numpy()
    expected = np.concatenate([closeness(x[:4], layer), closeness(x[4:], layer)])
    np.testing.assert_allclose(output[:, 6:], expected, rtol=1e-4, atol=1e-5)


def test_second_derivatives_are_those_of_the_definition(rng):
    # What the gradient penalty takes: the gradient of a gradient norm by the weights.
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
def test_samples_that_are_all_alike_leave_the_scale(rng, count):
    layer = built(rng)
    layer.fit(np.ones([count, 6], np.float32))
    np.testing.assert_array_equal(layer.log_scale, np.zeros([3, 2]))
    np.testing.assert_array_equal(layer.bias, np.full([3], 1.0 - count))


def test_in_half_precision_distances_are_still_taken_in_float32(rng):
    layer = built(rng, dtype="mixed_bfloat16")
    x = tf.constant(rng.normal(size=[5, 6]), tf.bfloat16)
    output = layer(x)
    assert output.dtype == tf.bfloat16
    expected = closeness(tf.cast(x, tf.float32).numpy(), layer)
    expected = tf.cast(expected.astype(np.float32), tf.bfloat16)
    np.testing.assert_allclose(
        tf.cast(output[:, 6:], tf.float32), tf.cast(expected, tf.float32), rtol=1e-2
    )


def test_its_configuration_makes_the_same_layer(rng):
    layer = built(rng)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (again.kernels, again.dims, again.seed) == (3, 2, 1)
