"""Reading a level by record number."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Level, encode_records, open_pyramid, record_layout
from tfrecords_tools.format.example import ImageType
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.raw_file import open_raw_file

IMAGE = ImageType(3, 8, 8)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (20, 3, 8, 8), np.uint8)


@pytest.fixture(scope="module")
def level_path(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("level") / "x-r03.tfrecords"
    path.write_bytes(encode_records(images).tobytes())
    return path


def level_of(*paths):
    return Level(8, IMAGE, tuple(open_raw_file(MappedFile(path), IMAGE) for path in paths))


def both_ways(level, indices):
    """Read images into new memory; check that those read into given memory are the same."""
    indices = np.asarray(indices, np.int64)
    out = np.full((len(indices), 3, 8, 8), 77, np.uint8)
    assert level.read(indices, out=out) is out
    read = level.read(indices)
    np.testing.assert_array_equal(out, read)
    return read


@given(indices=st.lists(st.integers(0, 19), max_size=40))
def test_reading_gives_the_images_asked_for_in_that_order(images, level_path, indices):
    read = both_ways(level_of(level_path), indices)
    assert read.dtype == np.uint8 and read.flags.c_contiguous and read.flags.writeable
    np.testing.assert_array_equal(read, images[np.array(indices, np.int64)])


def test_the_originals_images_are_read_as_they_were_exported(golden):
    source = np.load(golden / "source_images.npz")
    level = open_pyramid(golden).level(32)
    np.testing.assert_array_equal(level.read(np.arange(12)), source["images"][source["order"]])


@given(indices=st.lists(st.integers(0, 39), min_size=1, max_size=50))
def test_several_files_read_as_one_level(images, level_path, indices):
    level = level_of(level_path, level_path)
    assert level.count == 40
    read = both_ways(level, indices)
    np.testing.assert_array_equal(read, images[np.array(indices) % 20])


@pytest.mark.parametrize("index", [-1, 20])
def test_an_index_out_of_range_is_refused(level_path, index):
    with pytest.raises(IndexError, match=r"0\.\.19\. Received"):
        level_of(level_path).read(np.array([0, index]))


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_anywhere_in_a_record_is_found(images, level_path, tmp_path_factory, data):
    record_bytes = record_layout(IMAGE).record_bytes
    at = data.draw(st.integers(record_bytes, 20 * record_bytes - 1), label="byte")
    bit = data.draw(st.integers(0, 7), label="bit")
    damaged = bytearray(level_path.read_bytes())
    damaged[at] ^= 1 << bit
    path = level_path.with_name("damaged-r03.tfrecords")
    path.write_bytes(damaged)
    level = level_of(path)
    record = at // record_bytes
    others = np.delete(np.arange(20), record)
    np.testing.assert_array_equal(both_ways(level, others), images[others])
    for out in (None, np.empty_like(images)):
        message = rf"damaged-r03.tfrecords: record {record} \(of 0..19\)"
        with pytest.raises(UserError, match=message):
            level.read(np.arange(20), out=out)


def test_without_checking_damaged_pixels_are_read_as_they_are(images, level_path):
    damaged = bytearray(level_path.read_bytes())
    damaged[-5] ^= 255
    path = level_path.with_name("unchecked-r03.tfrecords")
    path.write_bytes(damaged)
    assert level_of(path).read(np.array([19]), check=False)[0, 2, 7, 7] == images[19, 2, 7, 7] ^ 255


def test_records_with_data_before_shape_are_read_and_checked_too(images, tmp_path):
    # Protocol buffers leave the order of a map to the writer, even from record to record.
    layout = record_layout(IMAGE, data_first=True)
    other = np.zeros(20, layout.dtype)
    other["head"] = np.frombuffer(layout.head, np.uint8)
    other["tail"] = np.frombuffer(layout.tail, np.uint8)
    other["pixels"], other["crc"] = images, layout.checksums(images)
    records = encode_records(images).reshape(20, -1)
    records[::2] = other.view(np.uint8).reshape(20, -1)[::2]
    path = tmp_path / "mixed-r03.tfrecords"
    path.write_bytes(records.tobytes())
    np.testing.assert_array_equal(both_ways(level_of(path), np.arange(20)), images)
    records[4, -30] ^= 1
    path.write_bytes(records.tobytes())
    for out in (None, np.empty_like(images)):
        with pytest.raises(UserError, match="record 4 "):
            level_of(path).read(np.arange(20), out=out)


def test_threads_may_share_a_level(images, level_path):
    level, failures = level_of(level_path), []

    def read(seed):
        random = np.random.default_rng(seed)
        for _ in range(200):
            indices = random.integers(0, 20, 7)
            out = np.empty((7, 3, 8, 8), np.uint8) if seed % 2 else None
            if not np.array_equal(level.read(indices, out=out), images[indices]):
                failures.append(indices)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("check", [True, False])
def test_a_file_that_is_cut_short_while_it_is_read_is_refused(golden_copy, monkeypatch, check):
    level = open_pyramid(golden_copy).levels[-1]
    source = level.files[0].source

    def cut(spans):
        os.truncate(source.location, 100)

    monkeypatch.setattr(source, "will_read", cut)
    with pytest.raises(UserError, match=r"has been cut short .*: 100 of \d+ bytes are left"):
        level.read(np.arange(level.count), check=check)
