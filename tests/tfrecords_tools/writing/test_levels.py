"""The levels of a pyramid, against block means computed independently."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfrecords_tools.shape import Base, split_size
from tfrecords_tools.writing.levels import make_levels, resolutions


def reference(images, height):
    """Block means in exact integers, rounded half to even by Python."""
    count, channels, full, width = images.shape
    factor = full // height
    width //= factor
    blocks = images.reshape(count, channels, height, factor, width, factor).astype(np.int64)
    sums = blocks.sum(axis=(3, 5))
    return np.vectorize(lambda total: round(int(total) / factor**2), otypes=[images.dtype])(sums)


@st.composite
def image_batches(draw):
    base = draw(st.sampled_from([Base(4, 4), Base(4, 6), Base(5, 4), Base(9, 16)]))
    sides = base.size_at(draw(st.sampled_from([4, 8, 16, 32])))
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), *sides)
    return draw(arrays.arrays(dtype, shape))


@given(image_batches())
def test_every_level_of_any_image_is_the_rounded_mean_of_its_pixels(images):
    levels = list(make_levels(images))
    base, resolution = split_size(*images.shape[-2:])
    sizes = [base.size_at(each) for each in resolutions(resolution)]
    assert [level.shape[-2:] for level in levels] == sizes
    for level in levels:
        assert level.dtype == images.dtype
        np.testing.assert_array_equal(level, reference(images, level.shape[-2]))


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


def test_values_at_the_ends_of_every_type_do_not_overflow():
    for value in (0, 1, 254, 255):
        for level in make_levels(np.full((1, 1, 1024, 1024), value, np.uint8)):
            assert (level == value).all()


def in_float32(images):
    """The original's arithmetic, step by step."""
    means = images.astype(np.float32)
    while means.shape[-1] > 4:
        means = (
            means[:, :, 0::2, 0::2]
            + means[:, :, 0::2, 1::2]
            + means[:, :, 1::2, 0::2]
            + means[:, :, 1::2, 1::2]
        ) * 0.25
        yield np.rint(means).clip(0, 255).astype(np.uint8)


def test_the_means_are_those_of_the_originals_arithmetic(random_images):
    images = random_images(1, 3, 1024)
    # Halves are what rounding could get wrong: half of the pixels one brighter than the others.
    images[0, 1] = np.indices((1024, 1024)).sum(axis=0) % 2 + 100
    images[0, 2] = (np.arange(1024) // 4 % 2 + 7)[:, None]
    levels = list(make_levels(images))
    for level, expected in zip(levels[1:], in_float32(images), strict=True):
        np.testing.assert_array_equal(level, expected)


def test_beyond_1024_the_means_are_float32s(random_images):
    image = random_images(1, 1, 2048)
    levels = list(make_levels(image))
    assert [level.shape[-1] for level in levels] == list(resolutions(2048))
    for level, expected in zip(levels[1:], in_float32(image), strict=True):
        np.testing.assert_array_equal(level, expected)


def test_images_that_are_not_contiguous_are_levelled_too(random_images):
    images = random_images(2, 3, 16)
    turned = images.transpose(0, 1, 3, 2)
    for level, expected in zip(make_levels(turned), make_levels(turned.copy()), strict=True):
        np.testing.assert_array_equal(level, expected)
