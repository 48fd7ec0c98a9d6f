"""Color transformations against formulas of single colors, in NumPy."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from pgan_tf.augmentation.color import color_matrices, recolor

ON, OFF = 0.0, 0.9
OPERATIONS = ("brightness", "contrast", "flip", "hue", "saturation")


def recolored(images, **uniforms):
    noise = []
    for name in OPERATIONS:
        noise += [ON, uniforms[name]] if name in uniforms else [OFF, 0.5]
    noise = tf.constant([noise] * len(images), tf.float32)
    return recolor(tf.constant(images, tf.float32), noise, tf.constant(0.5)).numpy()


@pytest.fixture(params=[1, 3])
def images(rng, request):
    return rng.uniform(-1, 1, [2, 4, 4, request.param])


def test_brightness_contrast_and_flip(images):
    gray = images.mean(axis=3, keepdims=True)
    factor = np.exp(0.5 * np.log(2) * stats.norm.ppf(0.8))
    for uniforms, expected in [
        ({"brightness": 0.3}, images + 0.2 * stats.norm.ppf(0.3)),
        ({"contrast": 0.8}, images * factor),
        ({"flip": 0.6}, images - 2 * gray),
        ({"flip": 0.4}, images),
        ({"brightness": 0.3, "contrast": 0.8}, (images + 0.2 * stats.norm.ppf(0.3)) * factor),
    ]:
        np.testing.assert_allclose(recolored(images, **uniforms), expected, atol=1e-5)


def test_saturation_scales_the_distance_to_gray(images):
    gray = images.mean(axis=3, keepdims=True)
    factor = np.exp(np.log(2) * stats.norm.ppf(0.7))
    np.testing.assert_allclose(
        recolored(images, saturation=0.7), gray + (images - gray) * factor, atol=1e-5
    )


def test_a_third_of_a_turn_of_hue_exchanges_colors(rng):
    images = rng.uniform(-1, 1, [1, 4, 4, 3])
    turned = recolored(images, hue=0.5 + 1 / 3)  # by 120 degrees
    np.testing.assert_allclose(turned, np.roll(images, 1, axis=3), atol=1e-5)
    red = np.array([[[[1.0, 0.0, 0.0]]]])
    hue, _, _ = colorsys.rgb_to_hsv(*recolored(red, hue=0.5 + 1 / 6)[0, 0, 0].clip(0, 1))
    assert hue == pytest.approx(1 / 6, abs=0.01)


def test_gray_images_have_no_hue_or_saturation(rng):
    images = rng.uniform(-1, 1, [2, 4, 4, 1])
    np.testing.assert_allclose(recolored(images, hue=0.9, saturation=0.9), images, atol=1e-6)


def test_gray_in_one_channel_becomes_gray_in_three(rng):
    gray = rng.uniform(-1, 1, [2, 4, 4, 1])
    given = {"brightness": 0.7, "contrast": 0.2, "flip": 0.9, "hue": 0.3, "saturation": 0.8}
    in_three = recolored(np.repeat(gray, 3, axis=3), **given)
    np.testing.assert_allclose(in_three, recolored(gray, **given).repeat(3, axis=3), atol=1e-5)


def test_matrices_map_colors_alone(rng):
    noise = tf.constant(rng.uniform(size=[5, 10]), tf.float32)
    matrices, _ = color_matrices(noise, tf.constant(1.0))
    np.testing.assert_allclose(matrices[:, 3], [[0, 0, 0, 1]] * 5, atol=1e-6)
