"""DiffAugment's operations against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.augmentation import diffaugment

ONE = tf.constant(1.0)


@pytest.fixture
def images(rng):
    return rng.normal(size=[3, 16, 16, 3]).astype(np.float32)


def test_color_is_brightness_then_saturation_then_contrast(rng, images):
    noise = rng.uniform(size=[3, 3]).astype(np.float32)
    expected = []
    for image, (brightness, saturation, contrast) in zip(images, noise, strict=True):
        brighter = image + brightness - 0.5
        gray = brighter.mean(axis=2, keepdims=True)
        saturated = gray + (brighter - gray) * 2 * saturation
        expected.append(saturated.mean() + (saturated - saturated.mean()) * (contrast + 0.5))
    result = diffaugment.color(tf.constant(images), tf.constant(noise), ONE)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("noise", "y", "x"), [((0.0, 0.5), 2, 0), ((0.999, 0.999), -2, -2), ((0.5, 0.25), 0, 1)]
)
def test_translation_is_up_to_an_eighth_and_fills_with_0(images, noise, y, x):
    result = diffaugment.translation(tf.constant(images), tf.constant([noise] * 3), ONE)
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    np.testing.assert_array_equal(result, padded[:, 2 - y : 18 - y, 2 - x : 18 - x])


@pytest.mark.parametrize(
    ("noise", "rows", "columns"),
    [((0.5, 0.5), slice(4, 12), slice(4, 12)), ((0.0, 0.999), slice(0, 4), slice(12, 16))],
)
def test_cutout_is_half_as_large_as_the_image(images, noise, rows, columns):
    result = diffaugment.cutout(tf.constant(images), tf.constant([noise] * 3), ONE)
    expected = images.copy()
    expected[:, rows, columns] = 0
    np.testing.assert_array_equal(result, expected)
