"""Additive noise and cutout."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from pgan_tf.augmentation.corruption import add_noise, cut_out


def test_noise_has_a_half_normal_deviation(rng):
    images = rng.normal(size=[2, 64, 64, 3]).astype(np.float32)
    noise = rng.uniform(size=[2, 2 + 64 * 64 * 3]).astype(np.float32)
    noise[:, 0], noise[:, 1] = (0.1, 0.9), 0.95
    noisy = add_noise(tf.constant(images), tf.constant(noise), tf.constant(0.5)).numpy()
    added = (noisy - images)[0]
    np.testing.assert_array_equal(noisy[1], images[1])
    assert added.std() == pytest.approx(0.1 * stats.norm.ppf(0.95), rel=0.03)
    expected = 0.1 * stats.norm.ppf(0.95) * stats.norm.ppf(noise[0, 2:].reshape(64, 64, 3))
    np.testing.assert_allclose(added, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("x", "y", "columns", "rows"),
    [(0.5, 0.5, slice(4, 12), slice(4, 12)), (0.01, 1.0, slice(0, 4), slice(12, 16))],
)
def test_a_rectangle_is_cut_out(rng, x, y, columns, rows):
    images = rng.uniform(0.5, 1, [2, 16, 16, 3]).astype(np.float32)
    noise = tf.constant([[0.1, x, y], [0.9, x, y]], tf.float32)
    cut = cut_out(tf.constant(images), noise, tf.constant(0.5)).numpy()
    expected = images.copy()
    expected[0, rows, columns] = 0
    np.testing.assert_array_equal(cut, expected)
