"""Images made ready to look at."""

import numpy as np
import pytest

from tfrecords_tools.pictures import over_checkerboard, over_white, to_8_bits


@pytest.mark.parametrize("lay", [over_checkerboard, over_white])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_without_alpha_stay_as_they_are(lay, channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, channels), np.uint8)
    assert lay(images) is images


@pytest.mark.parametrize("lay", [over_checkerboard, over_white])
@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_images_keep_their_colors(lay, channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 16, channels), np.uint8)
    images[..., -1] = 255
    laid = lay(images)
    assert laid.dtype == np.uint8
    np.testing.assert_array_equal(laid, images[..., :-1])


def test_half_of_black_over_white_is_gray():
    image = np.array([[[0, 0, 0, 128]]], np.uint8)
    np.testing.assert_array_equal(over_white(image), [[[127, 127, 127]]])


def test_a_checkerboard_shows_through_fully_transparent_pixels():
    image = np.zeros((16, 32, 2), np.uint8)
    laid = over_checkerboard(image)
    assert laid.shape == (16, 32, 1)
    assert laid[0, 0, 0] == laid[1, 1, 0] == laid[2, 2, 0] == 255
    assert laid[0, 2, 0] == laid[2, 0, 0] == 204


@pytest.mark.parametrize("size", [(4, 4), (6, 4), (4, 7)])
def test_the_smallest_images_have_a_checkerboard_too(size):
    assert len(np.unique(over_checkerboard(np.zeros((*size, 4), np.uint8)))) == 2


def test_16_bits_become_the_nearest_of_8():
    values = np.arange(1 << 16, dtype=np.uint16)
    np.testing.assert_array_equal(to_8_bits(values), np.rint(values / 257).astype(np.uint8))
    assert to_8_bits(np.uint8([3])).tolist() == [3]
