import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.layers import MinibatchStdDev
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


def test_groups_are_strides_and_not_neighbours():
    # Samples 0 and 2 are alike, and 1 and 3: strided groups of two see no deviation.
    x = np.zeros([4, 4, 4, 1], np.float32)
    x[[1, 3]] = 5.0
    np.testing.assert_allclose(MinibatchStdDev(2)(x)[..., 1], np.full([4, 4, 4], 1e-4), rtol=1e-3)


def test_parts_of_a_batch_are_grouped_apart(rng):
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
