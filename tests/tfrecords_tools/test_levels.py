"""The levels of a pyramid, against block means computed another way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfrecords_tools.levels import make_levels, resolutions


def reference(images, side):
    """Block means in exact integers, rounded half to even by Python."""
    count, channels, full, _ = images.shape
    factor = full // side
    blocks = images.reshape(count, channels, side, factor, side, factor).astype(np.int64)
    sums = blocks.sum(axis=(3, 5))
    return np.vectorize(lambda total: round(int(total) / factor**2), otypes=[np.uint8])(sums)


@st.composite
def image_batches(draw):
    side = draw(st.sampled_from([4, 8, 16, 32]))
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from([1, 3])), side, side)
    return draw(arrays.arrays(np.uint8, shape))


@given(image_batches())
def test_every_level_of_any_image_is_the_rounded_mean_of_its_pixels(images):
    levels = list(make_levels(images))
    assert [level.shape[-1] for level in levels] == list(resolutions(images.shape[-1]))
    for level in levels:
        assert level.dtype == np.uint8
        np.testing.assert_array_equal(level, reference(images, level.shape[-1]))


def test_means_of_a_large_image_are_exact(random_images):
    image = random_images(1, 1, 512)
    *_, smallest = make_levels(image)
    np.testing.assert_array_equal(smallest, reference(image, 4))


def test_halves_are_rounded_to_even():
    image = np.zeros((1, 1, 8, 8), np.uint8)
    image[..., 0, 0:4] = [1, 1, 3, 3]  # means 0.5 and 1.5
    _, small = make_levels(image)
    assert small[0, 0, 0, :2].tolist() == [0, 2]


def test_levels_are_means_of_the_unrounded_level_above():
    image = np.zeros((1, 1, 16, 16), np.uint8)
    # Four 2x2 means of 0.5 round to 0 each, but their own mean is 0.5; with one pixel more it is 1.
    image[..., 0:4, 0:4] = 0.5 * np.indices((4, 4)).sum(axis=0) % 1 * 2
    image[..., 0, 0] += 1
    *_, smallest = make_levels(image)
    assert smallest[0, 0, 0, 0] == 1


def test_an_image_of_4x4_is_its_only_level(random_images):
    image = random_images(2, 3, 4)
    (only,) = make_levels(image)
    np.testing.assert_array_equal(only, image)
    assert resolutions(4) == (4,) and resolutions(32) == (32, 16, 8, 4)
