"""Band filters: their frequencies, and images against SciPy's convolution."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, stats

from pgan_tf.augmentation.filtering import SYM2, band_gains, filter_bands, filter_bank


def test_the_wavelet_is_orthogonal():
    assert np.sum(SYM2**2) == pytest.approx(1)
    assert np.dot(SYM2[2:], SYM2[:2]) == pytest.approx(0, abs=1e-12)
    assert np.sum(SYM2) == pytest.approx(np.sqrt(2))


def test_bands_are_octaves_and_their_sum_is_every_frequency():
    bank = filter_bank()
    np.testing.assert_allclose(bank.sum(axis=0), np.eye(1, 43, 21)[0], atol=1e-12)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-12)
    response = np.abs(np.fft.rfft(bank, 1024))
    for octave, frequency in enumerate([0, 96, 192, 512]):  # of 512, the highest
        assert np.argmax(response[:, frequency]) == octave
        assert response[octave, frequency] > 0.7


def test_gains_are_lognormal_and_keep_the_expected_power():
    power = np.array([10, 1, 1, 1]) / 13
    noise = np.full([1, 8], 0.9, np.float32)
    noise[0, 2:4] = 0.0, 0.8  # the second band
    gains, applied = band_gains(tf.constant(noise), tf.constant(0.5))
    gain = np.array([1, np.exp(np.log(2) * stats.norm.ppf(0.8)), 1, 1])
    np.testing.assert_allclose(gains[0], gain / np.sqrt(np.sum(power * gain**2)), rtol=1e-5)
    assert bool(applied[0])


def test_images_are_filtered_as_by_scipy(rng):
    images = rng.normal(size=[2, 32, 32, 3])
    noise = tf.constant(rng.uniform(size=[2, 8]), tf.float32)
    gains, _ = band_gains(noise, tf.constant(1.0))
    filtered = filter_bands(tf.constant(images, tf.float32), noise, tf.constant(1.0)).numpy()
    for image, gain, result in zip(images, gains.numpy(), filtered, strict=True):
        taps = gain @ filter_bank()
        for axis in range(2):
            image = ndimage.correlate1d(image, taps, axis=axis, mode="mirror")
        np.testing.assert_allclose(result, image, atol=1e-4)
