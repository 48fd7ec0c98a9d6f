"""Sizes of images: bases and resolutions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecords_tools.shape import (
    MOST_BASE_PIXELS,
    SQUARE,
    Base,
    is_base,
    nearest_sizes,
    parse_size,
    split_size,
)

SIDES = st.integers(0, 1 << 17)


@pytest.mark.parametrize(
    ("width", "height", "base", "resolution"),
    [
        (4, 4, Base(4, 4), 4),
        (1024, 1024, Base(4, 4), 1024),
        (384, 256, Base(4, 6), 256),
        (1024, 576, Base(9, 16), 256),
        (96, 64, Base(4, 6), 64),
        (64, 96, Base(6, 4), 64),
        (512, 128, Base(4, 16), 128),
        (5, 4, Base(4, 5), 4),
        (6, 4, Base(4, 6), 4),
    ],
)
def test_a_size_is_a_base_times_a_power_of_two(width, height, base, resolution):
    assert split_size(height, width) == (base, resolution)
    assert base.size_at(resolution) == (height, width)
    assert base.text_at(resolution) == f"{width}x{height}"
    assert base.is_square == (width == height)


@pytest.mark.parametrize(
    "size",
    [(0, 0), (0, 8), (2, 2), (3, 3), (4, 2), (6, 6), (100, 100), (512, 4), (60, 100)],
)
def test_some_sizes_have_no_base(size):
    assert split_size(*size) is None


@given(height=SIDES, width=SIDES)
def test_a_base_is_the_smallest(height, width):
    split = split_size(height, width)
    if split is None:
        return
    base, resolution = split
    assert base.size_at(resolution) == (height, width)
    assert is_base(*base) and min(base) >= 4 and base.pixels <= MOST_BASE_PIXELS
    halves = [side / 2 for side in base]
    assert base == SQUARE or min(halves) < 4 or any(half % 1 for half in halves)


@given(height=st.integers(1, 10**9), width=st.integers(1, 10**9))
def test_the_nearest_sizes_have_bases(height, width):
    sizes = nearest_sizes(height, width)
    assert len(sizes) <= 2
    if max(height, width) <= min(1 << 16, 16 * min(height, width)):
        assert sizes
    assert all(split_size(*size) is not None for size in sizes)
    if height == width:
        assert all(size[0] == size[1] for size in sizes)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [((100, 100), [(64, 64), (128, 128)]), ((250, 380), [(256, 384), (256, 352)])],
)
def test_the_nearest_sizes(size, nearest):
    assert nearest_sizes(*size) == nearest


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64", (64, 64)),
        ("96x64", (64, 96)),
        ("96X64", (64, 96)),
        ("x64", None),
        ("96x", None),
        ("96x64x3", None),
        ("-4", None),
        ("4.0", None),
        ("", None),
        ("1" * 20, None),
    ],
)
def test_a_text_has_the_width_first(text, size):
    assert parse_size(text) == size
