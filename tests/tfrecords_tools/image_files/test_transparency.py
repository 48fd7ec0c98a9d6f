"""Colors under fully transparent pixels."""

import numpy as np
import pytest

from tfrecords_tools.image_files.transparency import fill_transparent


def image_of(channels, height, width, dtype=np.uint8):
    """A random image, transparent but for a rectangle."""
    top = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, top, (channels, height, width), dtype, True)
    image[-1] = 0
    image[-1, height // 4 : height // 2, width // 8 : width // 2] = top
    return image


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("size", [(8, 8), (16, 24), (9, 16), (4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_visible_stays_and_what_is_not_depends_on_it_alone(channels, size, dtype):
    image = image_of(channels, *size, dtype)
    hidden = image[-1] == 0
    other = image.copy()
    other[:-1, hidden] = 77
    filled = fill_transparent(image)
    assert filled.dtype == dtype
    np.testing.assert_array_equal(filled, fill_transparent(other))
    np.testing.assert_array_equal(filled[:, ~hidden], image[:, ~hidden])
    np.testing.assert_array_equal(filled[-1], image[-1])


def test_a_transparent_pixel_has_the_mean_of_the_smallest_block_with_anything_visible():
    image = np.zeros((2, 8, 8), np.uint8)
    image[:, 0, 0] = 100, 255
    image[:, 0, 1] = 200, 51
    image[:, 6, 6] = 10, 255
    filled = fill_transparent(image)[0]
    near = round((100 * 255 + 200 * 51) / 306)
    assert filled[0, :2].tolist() == [100, 200] and (filled[1, :2] == near).all()
    assert (filled[2:4, :4] == near).all()
    assert (filled[4:, 4:] == 10).all()
    assert (filled[:4, 4:] == round((100 * 255 + 200 * 51 + 10 * 255) / 561)).all()


def test_an_opaque_image_stays_as_it_is():
    image = np.full((4, 8, 8), 255, np.uint8)
    assert fill_transparent(image) is image


def test_without_anything_visible_the_color_is_0():
    image = np.full((4, 6, 4), 9, np.uint8)
    image[3] = 0
    assert not fill_transparent(image).any()
