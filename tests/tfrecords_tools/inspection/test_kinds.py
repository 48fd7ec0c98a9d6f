"""Pyramids of rectangles, with alpha and of 16 bits, inspected."""

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.cli.inspect import main
from tfrecords_tools.inspection.sheet import draw_sheet
from tfrecords_tools.pictures import over_checkerboard, to_8_bits
from tfrecords_tools.shape import Base
from tfrecords_tools.sources.synthetic import SyntheticSource

RGBA = SyntheticSource(5, 32, base=Base(4, 6), channels=4)
DEEP = SyntheticSource(5, 32, base=Base(6, 4), channels=1, bits=16)


@pytest.fixture
def inspect(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in `tmp_path`: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def inspect(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, "".join(capsys.readouterr())

    return inspect


@pytest.mark.parametrize("size", [(16, 24), (24, 16), (4, 6)])
def test_rectangles_are_drawn_in_their_places_over_a_checkerboard(size):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, *size), np.uint8)
    sheet = np.asarray(draw_sheet(images, columns=2))
    factor = 64 // min(size)
    height, width = size[0] * factor, size[1] * factor
    assert sheet.shape == (2 + 3 * (height + 2), 2 + 2 * (width + 2), 3)
    shown = over_checkerboard(images.transpose(0, 2, 3, 1))
    for number in range(5):
        top, left = 2 + number // 2 * (height + 2), 2 + number % 2 * (width + 2)
        tile = sheet[top : top + height : factor, left : left + width : factor]
        np.testing.assert_array_equal(tile, shown[number])


def test_16_bits_are_drawn_as_8():
    image = DEEP.load(0)
    sheet = np.asarray(draw_sheet(image[None]))
    tile = sheet[2 : 2 + 96 : 2, 2 : 2 + 64 : 2, 0]
    np.testing.assert_array_equal(tile, to_8_bits(image)[0])


def test_info_names_size_and_kind(inspect, write):
    code, out = inspect("info", write(RGBA))
    assert code == 0 and "images    5, 48x32 RGBA" in out and "  6x4 " in out
    code, out = inspect("info", write(DEEP, "deep"))
    assert code == 0 and "images    5, 32x48 grayscale of 16 bits" in out


@pytest.mark.parametrize(("source", "mode"), [(RGBA, "RGBA"), (DEEP, "I;16")])
def test_extract_gives_the_images_back(inspect, write, source, mode):
    code, out = inspect("extract", write(source), "--output=out")
    assert code == 0 and f"Wrote 5 images of {source.base.text_at(32)} to out" in out
    for index in range(5):
        with Image.open(f"out/{index:06d}.png") as picture:
            assert picture.mode == mode
            pixels = np.asarray(picture).reshape(*source.base.size_at(32), -1)
            np.testing.assert_array_equal(pixels.transpose(2, 0, 1), source.load(index))


def test_show_takes_levels_by_their_one_number(inspect, write):
    code, out = inspect("show", write(RGBA), "--resolution=16")
    assert code == 0 and "5 images of 24x16: pyramid-sheet.png" in out
    code, out = inspect("show", write(RGBA, "x"), "--resolution=24")
    assert code == 2
    assert "must be one of 4 (6x4), 8 (12x8), 16 (24x16), 32 (48x32). Received: 24" in out


@pytest.mark.parametrize("source", [RGBA, DEEP])
def test_compare_finds_the_differing_image(inspect, write, source):
    class Changed(type(source)):
        def load(self, index):
            image = super().load(index)
            image[-1, 0, 0] ^= (np.iinfo(image.dtype).max + 1) // 2 * (index == 3)
            return image

    first, second = write(source), write(Changed(**vars(source)), "other", encoding="png")
    code, out = inspect("compare", first, second, "--resolution=32", "--output=x.png")
    half = 128 if source is RGBA else 32768
    assert code == 1 and f": 1 of 5 images differ, by up to {half}" in out and ": 3" in out
    with Image.open("x.png") as picture:
        difference = np.asarray(picture)[:, 2 * picture.width // 3 :]
    assert (difference == 128).any()


def test_pyramids_of_other_kinds_differ_without_being_compared(inspect, write):
    code, out = inspect("compare", write(RGBA), write(DEEP, "deep"))
    assert code == 1
    for words in ("channels: 4 and 1", "bits: 8 and 16", "size: 48x32 and 32x48"):
        assert f"differ in {words}" in out
    assert "images are equal" not in out and "images differ" not in out
