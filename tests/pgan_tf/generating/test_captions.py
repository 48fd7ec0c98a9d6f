import numpy as np
import pytest

from pgan_tf.generating.captions import captioned_grid


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "shown"), [(8, 96), (48, 96), (256, 256)])
def test_images_keep_their_pixels_and_captions_lie_below(side, shown, channels, rng):
    images = rng.integers(0, 256, [4, side, side, channels], dtype=np.uint8)
    grid = captioned_grid(images, ["one", "", "three", "four"], 2)
    height = grid.shape[0] // 2
    assert grid.shape[1:] == (2 * shown, channels) and height > shown
    factor = shown // side
    for number in range(4):
        top, left = number // 2 * height, number % 2 * shown
        tile = grid[top : top + shown : factor, left : left + shown : factor]
        np.testing.assert_array_equal(tile, images[number])
        text = grid[top + shown : top + height, left : left + shown]
        assert text.any() == (number != 1)


@pytest.mark.parametrize(("height", "width", "shown"), [(12, 8, (144, 96)), (40, 160, (40, 160))])
def test_rectangles_are_wide_enough_for_captions(height, width, shown, rng):
    images = rng.integers(0, 256, [2, height, width, 3], dtype=np.uint8)
    grid = captioned_grid(images, ["one", "two"], 2)
    assert grid.shape[1] == 2 * shown[1] and grid.shape[0] > shown[0]
    factor = shown[1] // width
    np.testing.assert_array_equal(grid[: shown[0] : factor, : shown[1] : factor], images[0])
    assert grid[shown[0] :, : shown[1]].any()


def test_long_and_foreign_captions_stay_within_their_image():
    blank = np.zeros([2, 96, 96, 1], np.uint8)
    grid = captioned_grid(blank, ["猫" * 3 + "cat" * 50, ""], 2)
    assert grid[:, :96].any() and not grid[:, 96:].any()
