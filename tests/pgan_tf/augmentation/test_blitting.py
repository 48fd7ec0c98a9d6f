"""Pixel blitting against NumPy's flips, turns and reflected borders."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.augmentation.blitting import blit

ON, OFF = 0.0, 0.9  # below the strength and above


def blitted(images, *, flip=None, turn=None, shift=None):
    x, y = shift or (0.0, 0.0)
    noise = [
        *(OFF if flip is None else ON, (flip or 0) / 2 + 0.25),
        *(OFF if turn is None else ON, (turn or 0) / 4 + 0.1),
        *(OFF if shift is None else ON, x, y),
    ]
    noise = tf.constant([noise] * len(images), tf.float32)
    return blit(tf.constant(images), noise, tf.constant(0.5)).numpy()


@pytest.fixture
def images(rng):
    return rng.normal(size=[2, 16, 16, 3]).astype(np.float32)


def test_flips(images):
    np.testing.assert_array_equal(blitted(images, flip=1), images[:, :, ::-1])
    np.testing.assert_array_equal(blitted(images, flip=0), images)


@pytest.mark.parametrize("turn", range(4))
def test_quarter_turns(images, turn):
    np.testing.assert_array_equal(blitted(images, turn=turn), np.rot90(images, turn, axes=(1, 2)))


@pytest.mark.parametrize(("uniforms", "x", "y"), [((0.0, 0.5), -2, 0), ((0.76, 0.999), 1, 2)])
def test_translations_reflect_the_border(images, uniforms, x, y):
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="reflect")
    expected = padded[:, 2 - y : 18 - y, 2 - x : 18 - x]
    np.testing.assert_array_equal(blitted(images, shift=uniforms), expected)


def test_flip_turn_and_translation_follow_each_other(images):
    turned = np.rot90(images[:, :, ::-1], 3, axes=(1, 2))
    np.testing.assert_array_equal(
        blitted(images, flip=1, turn=3, shift=(0.1, 0.9)), blitted(turned, shift=(0.1, 0.9))
    )


@pytest.mark.parametrize("turn", range(2))
def test_rectangles_make_half_turns(rng, turn):
    images = rng.normal(size=[2, 16, 24, 4]).astype(np.float32)
    expected = np.rot90(images, 2 * turn, axes=(1, 2))
    np.testing.assert_array_equal(blitted(images, turn=2 * turn), expected)


def test_rectangles_move_by_an_eighth_of_each_side(rng):
    images = rng.normal(size=[1, 16, 24, 1]).astype(np.float32)
    padded = np.pad(images, [(0, 0), (2, 2), (3, 3), (0, 0)], mode="reflect")
    np.testing.assert_array_equal(blitted(images, shift=(0.0, 0.999)), padded[:, :16, 6:])


def test_whole_pixels_of_a_4x4_image_stay():
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(blitted(images, shift=(0.01, 0.99)), images)
