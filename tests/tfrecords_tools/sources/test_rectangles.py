"""Image files that become rectangles."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.pictures import noise
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.headers import read_header
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.shape import Base
from tfrecords_tools.sources.images import open_images

WIDE = ImagePolicy(channels=3, resolution=4, base=Base(4, 6))


def test_the_largest_centered_rectangle_is_taken(saved):
    wide, tall = noise(4, 9, 3), noise(7, 6, 3)
    read = read_pixels(saved(wide), WIDE)
    np.testing.assert_array_equal(read, wide[:, 1:7].transpose(2, 0, 1))
    read = read_pixels(saved(tall), WIDE)
    np.testing.assert_array_equal(read, tall[1:5].transpose(2, 0, 1))


def test_padding_makes_the_shape(saved):
    policy = dataclasses.replace(WIDE, crop="pad", background=(1, 2, 3))
    pixels = noise(4, 4, 3)
    read = read_pixels(saved(pixels), policy).transpose(1, 2, 0)
    np.testing.assert_array_equal(read[:, 1:5], pixels)
    assert (read[:, [0, 5]] == [1, 2, 3]).all()
    read = read_pixels(saved(noise(2, 6, 3)), policy).transpose(1, 2, 0)
    assert (read[[0, 3]] == [1, 2, 3]).all()


def test_stretching_scales_both_sides_on_their_own(saved):
    policy = dataclasses.replace(WIDE, crop="stretch", resize="box")
    pixels = noise(8, 6, 3)
    read = read_pixels(saved(pixels), policy).transpose(1, 2, 0)
    means = pixels.reshape(4, 2, 6, 3).mean(axis=1)
    assert np.abs(read - means).max() <= 0.51
    with pytest.raises(BadImageError, match=r"is 5x8 pixels, too small for 6x4"):
        read_pixels(saved(noise(8, 5, 3)), policy)


def test_without_cropping_another_shape_is_refused(saved):
    policy = dataclasses.replace(WIDE, crop="none")
    assert read_pixels(saved(noise(8, 12, 3)), policy).shape == (3, 4, 6)
    with pytest.raises(BadImageError, match=r"is 12x9 pixels, not of the shape of 6x4; use --crop"):
        read_pixels(saved(noise(9, 12, 3)), policy)


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    base=st.sampled_from([Base(4, 4), Base(4, 6), Base(9, 5)]),
    crop=st.sampled_from(["center", "pad"]),
)
def test_a_cropped_size_has_the_shape_and_touches_the_image(height, width, base, crop):
    policy = ImagePolicy(3, 4, crop, base=base)
    cropped = policy.cropped_size(height, width)
    assert height == cropped[0] or width == cropped[1]
    for side, found in zip((height, width), cropped, strict=True):
        assert found <= side if crop == "center" else found >= side
    # Within half a pixel, except that there must be one pixel.
    assert abs(cropped[1] * base.height - cropped[0] * base.width) <= max(base)


@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_the_shape_is_that_of_the_upright_image(saved, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(noise(4, 6, 3) if orientation == 1 else noise(6, 4, 3), name, exif=exif)
    header = read_header(path, 100)
    assert (header.width, header.height) == (6, 4)
    assert read_pixels(path, WIDE).shape == (3, 4, 6)


def test_a_photograph_that_is_held_upright_is_refused_before_any_work(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(4, 6, 3)).save(tmp_path / "x.jpg", exif=exif)
    policy = dataclasses.replace(WIDE, channels=0)
    with pytest.raises(BadImageError, match=r"x\.jpg: is 4x6 pixels, too small for 6x4"):
        open_images(tmp_path, policy, False, 1, False, print)


def test_a_source_of_rectangles_says_so(tmp_path):
    Image.fromarray(noise(9, 13, 3)).save(tmp_path / "x.png")
    source = open_images(tmp_path, dataclasses.replace(WIDE, resolution=8), False, 1, False, print)
    assert (source.base, source.resolution, source.bits) == (Base(4, 6), 8, 8)
    assert source.load(0).shape == (3, 8, 12)
    assert source.describe()["base"] == (4, 6) and "bits" not in source.describe()
    square = dataclasses.replace(source, policy=dataclasses.replace(source.policy, base=Base(4, 4)))
    assert "base" not in square.describe()


def test_images_of_one_size_are_said_to_keep_their_shape_by_it(tmp_path):
    for name in ("a", "b"):
        Image.new("L", (24, 16)).save(tmp_path / f"{name}.png")
    said = []
    source = open_images(tmp_path, ImagePolicy(0, 0), False, 1, False, said.append)
    assert source.resolution == 16
    assert said[-1] == "All images are 24x16: --resolution=24x16 keeps their shape"
    Image.new("L", (16, 24)).save(tmp_path / "c.png")
    said.clear()
    open_images(tmp_path, ImagePolicy(0, 0), False, 1, False, said.append)
    assert not any("keeps" in line for line in said)
