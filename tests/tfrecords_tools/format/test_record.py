"""One record's bytes."""

import numpy as np
import pytest

from tfrecords_tools.format import encode_records, record_layout
from tfrecords_tools.format.example import ImageType, find_shape
from tfrecords_tools.format.record import masked


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_records_equal_the_originals_bytes(golden, resolution):
    path = golden / f"original_pyramid-r{resolution.bit_length() - 1:02d}.tfrecords"
    layout = record_layout(ImageType(3, resolution, resolution))
    records = np.fromfile(path, layout.dtype)
    assert encode_records(records["pixels"]).tobytes() == path.read_bytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [4, 32, 128, 1024])
def test_tensorflow_parses_a_record_of_any_length_of_varints(channels, resolution):
    tf = pytest.importorskip("tensorflow")
    image = np.random.default_rng(0).integers(
        0, 256, (1, channels, resolution, resolution), np.uint8
    )
    record = encode_records(image).tobytes()
    example = tf.train.Example.FromString(record[12:-4])
    assert list(example.features.feature["shape"].int64_list.value) == [
        channels,
        resolution,
        resolution,
    ]
    assert example.features.feature["data"].bytes_list.value == [image.tobytes()]
    assert len(example.SerializeToString()) == len(record) - 16


def test_a_layout_with_data_first_has_the_same_length_and_other_offsets():
    shape_first, data_first = (
        record_layout(ImageType(3, 8, 8)),
        record_layout(ImageType(3, 8, 8), True),
    )
    assert shape_first.record_bytes == data_first.record_bytes
    assert shape_first.head != data_first.head
    assert shape_first.tail == b"" and data_first.tail


def test_the_shape_of_a_record_is_found_in_both_orders(random_images):
    record = encode_records(random_images(1, 3, 128)).tobytes()
    assert find_shape(record) == (3, 128, 128)
    layout = record_layout(ImageType(1, 512, 512), data_first=True)
    assert find_shape(layout.head + bytes(512 * 512) + layout.tail) == (1, 512, 512)


@pytest.mark.parametrize("record", [b"", b"\x0a\x05shape\x12", b"no such thing", bytes(100)])
def test_a_record_without_a_shape_has_none(record):
    assert find_shape(record) is None


def test_masking_wraps_around_silently():
    with np.errstate(all="raise"):
        assert masked(np.array([0xFFFFFFFF, 0], np.uint32)).tolist() == [0xA282EAD7, 0xA282EAD8]
