"""Drawn shapes."""

import numpy as np
import pytest

from tfrecords_tools.shape import Base
from tfrecords_tools.sources.synthetic import SHAPES, SyntheticSource


def draw(seed, index, resolution):
    return SyntheticSource(index + 1, resolution, seed).load(index)


def test_an_image_depends_on_seed_and_number_alone():
    few, many = SyntheticSource(5, 16, seed=3), SyntheticSource(500, 16, seed=3)
    for index in (4, 0):
        np.testing.assert_array_equal(few.load(index), many.load(index))
    assert not np.array_equal(draw(3, 0, 16), draw(3, 1, 16))
    assert not np.array_equal(draw(3, 0, 16), draw(4, 0, 16))


@pytest.mark.parametrize("resolution", [4, 32, 256])
def test_images_are_uint8_rgb_at_any_resolution(resolution):
    image = SyntheticSource(1, resolution).load(0)
    assert image.dtype == np.uint8 and image.shape == (3, resolution, resolution)


def test_a_picture_is_the_same_at_every_resolution():
    # Anti-aliased: a fine drawing, averaged, is the coarse drawing nearly everywhere.
    for index in range(5):
        fine = draw(0, index, 256).reshape(3, 32, 8, 32, 8).mean(axis=(2, 4))
        assert np.abs(fine - draw(0, index, 32)).mean() < 3


def test_every_image_has_a_colorful_middle_and_a_pale_corner():
    for index in range(30):
        image = draw(0, index, 32).astype(int)
        assert image[:, 0, 0].min() > 180
        spread = image.max(axis=0) - image.min(axis=0)
        assert spread[8:24, 8:24].mean() > 80


def test_labels_name_the_shape_that_is_drawn():
    source = SyntheticSource(200, 32, with_labels=True)
    labels = source.labels()
    assert labels.dtype == np.float32 and labels.shape == (200, len(SHAPES))
    assert source.label_names == SHAPES
    assert (labels.sum(axis=1) == 1).all() and (labels.sum(axis=0) > 20).all()
    # A ring's middle is the pale background; every other shape covers it.
    for index in range(40):
        middle = source.load(index)[:, 15:17, 15:17].astype(int).mean(axis=(1, 2))
        is_ring = SHAPES[labels[index].argmax()] == "ring"
        assert (np.ptp(middle) < 60) == is_ring, index


def test_without_labels_there_are_none():
    source = SyntheticSource(3, 8)
    assert source.labels() is None and source.label_names is None
    assert not source.shuffled


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("base", [Base(4, 6), Base(6, 4)])
def test_shapes_take_the_aspect_of_a_rectangle(base, channels):
    image = SyntheticSource(1, 64, base=base, channels=channels).load(0)
    assert image.dtype == np.uint8 and image.shape == (channels, *base.size_at(64))
    assert len(np.unique(image)) > 50


@pytest.mark.parametrize("channels", [2, 4])
def test_with_alpha_the_background_is_transparent_and_shapes_are_opaque(channels):
    alpha = np.stack([SyntheticSource(9, 32, channels=channels).load(i)[-1] for i in range(9)])
    assert (alpha[:, 0, 0] == 0).all() and (alpha[:, 31, 31] < 60).all()
    assert ((alpha == 255).mean(axis=(1, 2)) > 0.1).all()


def test_16_bits_are_finer_8_bits():
    fine, coarse = (SyntheticSource(1, 32, channels=1, bits=bits).load(0) for bits in (16, 8))
    assert fine.dtype == np.uint16 and len(np.unique(fine)) > len(np.unique(coarse))
    assert np.abs(fine / 257 - coarse).max() <= 0.51
