"""PNG records and their index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import png_file
from tfrecords_tools.format.example import ImageType, parse_example, type_of
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.names import index_path
from tfrecords_tools.format.png_file import (
    decode_png,
    encode_png,
    encode_png_records,
    open_png_file,
    png_bound,
    png_record_bound,
)
from tfrecords_tools.format.record import record_layout


@st.composite
def any_image(draw):
    side = draw(st.sampled_from([4, 8, 32]))
    return draw(arrays.arrays(np.uint8, (draw(st.sampled_from([1, 3])), side, side)))


@given(any_image())
def test_any_image_comes_back_unchanged_within_the_bound(image):
    png = encode_png(image)
    assert len(png) <= png_bound(type_of(image))
    np.testing.assert_array_equal(decode_png(png, type_of(image)), image)
    (record,) = encode_png_records(image[None])
    assert len(record) + 8 <= png_record_bound(type_of(image))
    assert parse_example(record[12:-4]) == (image.shape, png)


@pytest.mark.parametrize("resolution", [4, 64, 512])
def test_noise_keeps_the_bound(random_images, resolution):
    (image,) = random_images(1, 3, resolution)
    assert len(encode_png(image)) <= png_bound(type_of(image))


def test_an_image_beyond_the_bound_is_stored_uncompressed(monkeypatch):
    image = np.zeros((3, 64, 64), np.uint8)
    monkeypatch.setattr(png_file, "png_bound", lambda image: 10)
    stored = encode_png(image)
    assert 3 * 64 * 64 < len(stored) < 3 * 64 * 64 + 500
    np.testing.assert_array_equal(decode_png(stored, type_of(image)), image)


@pytest.mark.parametrize("data_first", [False, True])
def test_an_example_is_read_in_both_orders(data_first):
    layout = record_layout(ImageType(3, 4, 4), data_first)
    pixels = bytes(range(48))
    example = layout.head[12:] + pixels + layout.tail
    assert parse_example(example) == ((3, 4, 4), pixels)


@given(st.binary(max_size=100))
def test_other_bytes_than_an_example_are_a_value_error(data):
    with pytest.raises(ValueError, match="."):
        parse_example(data)


IMAGES = np.random.default_rng(3).integers(0, 256, (9, 3, 8, 8), np.uint8)


@pytest.fixture(scope="module")
def level(tmp_path_factory):
    path = tmp_path_factory.mktemp("png") / "x-r03.tfrecords-00000-of-00001"
    records = encode_png_records(IMAGES)
    path.write_bytes(b"".join(records))
    offsets = np.cumsum([0, *map(len, records)]).astype("<u8")
    index_path(path).write_bytes(offsets.tobytes())
    return path


def opened(path):
    return open_png_file(MappedFile(path), MappedFile(index_path(path)), ImageType(3, 8, 8))


@settings(max_examples=200)
@given(data=st.data())
def test_any_flipped_bit_of_file_or_index_is_refused_and_named(level, data):
    """No image of a damaged record is returned."""
    index = index_path(level)
    target = data.draw(st.sampled_from([level, index]))
    whole = target.read_bytes()
    damaged = bytearray(whole)
    at = data.draw(st.integers(0, len(whole) - 1), label="byte")
    damaged[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    target.write_bytes(damaged)
    try:
        with pytest.raises(UserError, match=r"x-r03\.tfrecords-00000-of-00001"):
            opened(level).read(np.arange(9), check=True)
    finally:
        target.write_bytes(whole)


@settings(max_examples=100)
@given(data=st.data())
def test_a_file_or_index_truncated_anywhere_is_refused_when_opened(level, data):
    index = index_path(level)
    target = data.draw(st.sampled_from([level, index]))
    whole = target.read_bytes()
    target.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        with pytest.raises(UserError, match=r"x-r03\.tfrecords-00000-of-00001"):
            opened(level)
    finally:
        target.write_bytes(whole)


def test_an_image_of_another_size_is_refused_before_it_is_decoded():
    png = encode_png(IMAGES[0])
    with pytest.raises(ValueError, match="its image is 8x8, mode RGB"):
        decode_png(png, ImageType(3, 16, 16))
    with pytest.raises(ValueError, match="its image is 8x8, mode RGB"):
        decode_png(png, ImageType(1, 8, 8))
