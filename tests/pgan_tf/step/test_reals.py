import numpy as np
import scipy.stats
import tensorflow as tf

from pgan_tf.step.reals import prepare_reals
from tests.helpers import layer_reference as reference


def test_reals_are_scaled_to_the_unit_range():
    images = tf.constant([[[[0, 255], [51, 204]]]], tf.uint8)
    np.testing.assert_allclose(prepare_reals(images, None)[0, :, :, 0], [[-1, 1], [-0.6, 0.6]])


def test_reals_of_16_bits_keep_all_levels():
    levels = np.arange(2**16, dtype=np.uint16).reshape(1, 1, 256, 256)
    reals = prepare_reals(tf.constant(levels), None, bits=16).numpy().ravel()
    np.testing.assert_allclose(reals, levels.ravel() / 32767.5 - 1, atol=1e-7)
    assert (np.diff(reals) > 0).all()


def test_reals_fade_from_the_resolution_below(rng):
    images = rng.integers(0, 256, [2, 3, 4, 4]).astype(np.uint8)
    full = images.transpose(0, 2, 3, 1) / 127.5 - 1.0
    expected = 0.75 * reference.upscale(reference.downscale(full)) + 0.25 * full
    actual = prepare_reals(tf.constant(images), tf.constant(0.25))
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_about_half_of_the_reals_are_mirrored_and_the_same_ones_each_time(rng):
    images = rng.integers(0, 256, [400, 1, 4, 4]).astype(np.uint8)
    seed = tf.constant([1, 2], tf.int64)
    plain = prepare_reals(tf.constant(images), None).numpy()
    mirrored = prepare_reals(tf.constant(images), None, mirror_seed=seed).numpy()
    flipped = (mirrored == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (mirrored == plain).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all()
    assert 0.4 < flipped.mean() < 0.6
    again = prepare_reals(tf.constant(images), None, mirror_seed=seed)
    np.testing.assert_array_equal(again, mirrored)


def test_dequantized_reals_fill_their_levels_evenly(rng):
    images = rng.integers(0, 256, [200, 3, 8, 8]).astype(np.uint8)
    seed = tf.constant([1, 2], tf.int64)
    plain = prepare_reals(tf.constant(images), None).numpy()
    dequantized = prepare_reals(tf.constant(images), None, dequantize_seed=seed).numpy()
    levels = (dequantized - plain) * 127.5
    assert scipy.stats.kstest(levels.ravel(), scipy.stats.uniform(-0.5, 1).cdf).pvalue > 0.01
    for axis in range(4):  # each number has noise of its own
        assert abs(np.corrcoef(levels.ravel(), np.roll(levels, 1, axis).ravel())[0, 1]) < 0.02
    again = prepare_reals(tf.constant(images), None, dequantize_seed=seed)
    np.testing.assert_array_equal(again, dequantized)


def test_dequantized_reals_fade_and_mirror_with_their_noise(rng):
    images = tf.constant(rng.integers(0, 256, [2, 3, 4, 4]).astype(np.uint8))
    seed, coins = tf.constant([1, 2], tf.int64), tf.constant([3, 4], tf.int64)
    full = prepare_reals(images, None, dequantize_seed=seed).numpy()
    expected = 0.75 * reference.upscale(reference.downscale(full)) + 0.25 * full
    actual = prepare_reals(images, tf.constant(0.25), dequantize_seed=seed)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    mirrored = prepare_reals(images, None, mirror_seed=coins, dequantize_seed=seed).numpy()
    for image, original in zip(mirrored, full, strict=True):
        assert (image == original).all() or (image == original[:, ::-1]).all()
