"""Image files that become images of 16 bits."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests.helpers.pictures import noise
from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.images import open_images

DEEP = ImagePolicy(channels=1, resolution=4, bits=16)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_values_are_kept(saved, name):
    values = noise(4, 4, dtype=np.uint16)
    values[0] = [0, 65535, 1, 65534]
    read = read_pixels(saved(values, name), DEEP)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, values[None])


def test_values_are_scaled_at_their_precision(saved):
    values = noise(8, 8, dtype=np.uint16)
    read = read_pixels(saved(values), dataclasses.replace(DEEP, resize="box"))
    means = values.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.abs(read[0] - means).max() <= 0.51
    edge = np.zeros((32, 32), np.uint16)
    edge[:, :16] = 65535
    read = read_pixels(saved(edge), DEEP)[0]  # Lanczos overshoots
    assert (read[:, :2] > 60_000).all() and (read[:, 2:] < 5_000).all()


def test_8_bits_become_16(saved):
    gray = noise(4, 4)
    np.testing.assert_array_equal(read_pixels(saved(gray), DEEP), gray[None] * np.uint16(257))
    nothing = np.zeros((4, 4, 4), np.uint8)
    assert (read_pixels(saved(nothing), DEEP) == 65535).all()  # the background
    policy = dataclasses.replace(DEEP, crop="pad", background=(255, 0, 0))
    assert (read_pixels(saved(noise(2, 4)), policy)[0, [0, 3]] == 76 * 257).all()


def test_auto_is_gray_and_color_is_refused(tmp_path):
    auto = dataclasses.replace(DEEP, channels=0)
    Image.fromarray(noise(4, 4, dtype=np.uint16)).save(tmp_path / "1.png")
    Image.new("LA", (4, 4), (9, 255)).save(tmp_path / "2.png")  # opaque
    source = open_images(tmp_path, auto, False, 1, False, print)
    assert (source.channels, source.bits, source.describe()["bits"]) == (1, 16, 16)
    Image.new("RGB", (4, 4)).save(tmp_path / "3.png")
    expected = r"--bits=16 needs grayscale images; --channels=gray .* Received: .*3\.png, in color"
    with pytest.raises(UserError, match=expected):
        open_images(tmp_path, auto, False, 1, False, print)
    assert open_images(tmp_path, DEEP, False, 1, False, print).channels == 1
