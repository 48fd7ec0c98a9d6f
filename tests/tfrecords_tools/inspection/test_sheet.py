"""Contact sheets."""

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.inspection.sheet import draw_sheet, enlarge, stack


def test_each_image_is_in_its_place_and_enlarged_by_a_whole_factor(random_images):
    images = random_images(5, 3, 16)
    sheet = np.asarray(draw_sheet(images, columns=3))
    assert sheet.shape == (2 + 2 * 66, 2 + 3 * 66, 3)
    for number, image in enumerate(images):
        top, left = 2 + number // 3 * 66, 2 + number % 3 * 66
        tile = sheet[top : top + 64, left : left + 64]
        expected = image.transpose(1, 2, 0).repeat(4, axis=0).repeat(4, axis=1)
        np.testing.assert_array_equal(tile, expected)
    assert (sheet[68:, 134:] == 255).all()  # the place without an image


def test_gray_images_are_drawn_gray(random_images):
    images = random_images(1, 1, 64)
    sheet = np.asarray(draw_sheet(images))
    np.testing.assert_array_equal(sheet[2:66, 2:66], np.broadcast_to(images[0, 0, :, :, None],
                                                                     (64, 64, 3)))  # fmt: skip


@pytest.mark.parametrize("caption", ["7: sneaker", "", "7: 雪 ❄ é", "x" * 500])
def test_captions_stay_below_their_image(random_images, caption):
    images = random_images(2, 3, 64)
    sheet = np.asarray(draw_sheet(images, [caption, ""], columns=2))
    assert sheet.shape == (2 + 80, 2 + 2 * 66, 3)
    np.testing.assert_array_equal(sheet[2:66, 2:66], images[0].transpose(1, 2, 0))
    below = sheet[66:80]
    assert (below[:, 68:] == 255).all()  # nothing of it under the next image
    assert (below.min() < 200) == bool(caption)


def test_a_sheet_that_is_too_large_is_refused(monkeypatch, random_images):
    monkeypatch.setattr("tfrecords_tools.inspection.sheet._MAX_PIXELS", 10_000)
    with pytest.raises(UserError, match=r"a sheet of 9 images of 64x64 would be 200x200 pixels"):
        draw_sheet(random_images(9, 1, 64))


def test_sheets_are_stacked_and_levels_enlarged(random_images):
    images = random_images(2, 1, 4)
    assert enlarge(images, 4).shape == (2, 1, 16, 16)
    one, two = draw_sheet(images), draw_sheet(images, columns=1)
    whole = stack([one, two])
    assert whole.size == (max(one.width, two.width), one.height + two.height)
