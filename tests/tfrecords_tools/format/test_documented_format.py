"""A reader of pyramids written from docs/reference/pyramid-format.md and nothing else."""

import io
import itertools
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.format.example import ImageType
from tfrecords_tools.format.record import record_layout
from tfrecords_tools.shape import Base
from tfrecords_tools.sources.synthetic import SyntheticSource


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(c):
    return ((c >> 15 | c << 17) + 0xA282EAD8) % 2**32


def v(n):
    groups = []
    while n > 0x7F:
        groups.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*groups, n])


def sized(tag, content):
    return tag + v(len(content)) + content


def example_of(shape, data):
    numbers = b"".join(v(n) for n in shape)
    shape_value = sized(b"\x12", sized(b"\x1a", sized(b"\x0a", numbers)))
    data_value = sized(b"\x12", sized(b"\x0a", sized(b"\x0a", data)))
    entries = sized(b"\x0a", b"\x0a\x05shape" + shape_value)
    return sized(b"\x0a", entries + sized(b"\x0a", b"\x0a\x04data" + data_value))


def check_record(record):
    """Return the example in a record."""
    length, length_crc = struct.unpack("<QI", record[:12])
    example, (crc,) = record[12:-4], struct.unpack("<I", record[-4:])
    assert length == len(example)
    assert masked(crc32c(record[:8])) == length_crc and masked(crc32c(example)) == crc
    return example


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 3, 8, 8), np.uint8)


def test_the_writer_writes_the_pages_example(write, array_source):
    directory = write(array_source(IMAGES, shuffled=False))
    size = 98  # by the page's table
    record = (directory / "pyramid-r02.tfrecords").read_bytes()[3 * size : 4 * size]
    head = bytes.fromhex("0a500a100a05") + b"shape"
    head += bytes.fromhex("12071a050a030304040a3c0a04") + b"data" + bytes.fromhex("12340a320a30")
    example = check_record(record)
    assert example.startswith(head) and len(example) == len(head) + 48


@pytest.mark.parametrize("shards", [1, 3])
def test_raw_records_match_the_page(write, array_source, shards):
    directory = write(array_source(IMAGES, shuffled=False), shards=shards)
    names = ["pyramid-r03.tfrecords"]
    if shards > 1:
        names = [f"pyramid-r03.tfrecords-{s:05d}-of-{shards:05d}" for s in range(shards)]
    size, read = 247, []
    for s, name in enumerate(names):
        data = (directory / name).read_bytes()
        assert len(data) % size == 0
        assert len(data) // size == (s + 1) * 7 // shards - s * 7 // shards
        read += [data[at : at + size] for at in range(0, len(data), size)]
    assert len(read) == 7
    for image, record in zip(IMAGES, read, strict=True):
        assert check_record(record) == example_of((3, 8, 8), image.tobytes())


def test_png_records_match_the_page(write, array_source):
    directory = write(array_source(IMAGES, shuffled=False), encoding="png", shards=2)
    read = []
    for s in range(2):
        path = directory / f"pyramid-r03.tfrecords-{s:05d}-of-00002"
        data = path.read_bytes()
        index = (directory / f"{path.name}.index").read_bytes()
        offsets = struct.unpack(f"<{len(index) // 8}Q", index)
        assert offsets[0] == 0 and offsets[-1] == len(data)
        read += [data[start:end] for start, end in itertools.pairwise(offsets)]
    assert len(read) == 7
    for image, record in zip(IMAGES, read, strict=True):
        example = check_record(record)
        png = example[example.index(b"\x89PNG") :]
        assert example == example_of((3, 8, 8), png)
        assert png[24:26] == bytes([8, 2])  # 8 bits, RGB
        with Image.open(io.BytesIO(png)) as picture:
            np.testing.assert_array_equal(np.asarray(picture).transpose(2, 0, 1), image)


KINDS = {
    "rectangle": (SyntheticSource(5, 8, base=Base(4, 6)), "u1", 2),
    "gray_alpha": (SyntheticSource(5, 8, channels=2), "u1", 4),
    "rgba": (SyntheticSource(5, 8, base=Base(6, 4), channels=4), "u1", 6),
    "16_bits": (SyntheticSource(5, 8, channels=1, bits=16), "<u2", 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_records_of_other_kinds_match_the_page(write, kind):
    source, dtype, color_type = KINDS[kind]
    raw = (write(source, "raw/x") / "x-r03.tfrecords").read_bytes()
    png = (write(source, "png/x", encoding="png") / "x-r03.tfrecords-00000-of-00001").read_bytes()
    for index in range(5):
        image = source.load(index)
        size = len(raw) // 5
        example = check_record(raw[index * size : (index + 1) * size])
        assert example == example_of(image.shape, image.astype(dtype).tobytes())
        (length,) = struct.unpack("<Q", png[:8])
        example, png = check_record(png[: length + 16]), png[length + 16 :]
        file = example[example.index(b"\x89PNG") :]
        assert example == example_of(image.shape, file)
        assert file[24:26] == bytes([8 * np.dtype(dtype).itemsize, color_type])
        with Image.open(io.BytesIO(file)) as picture:
            pixels = np.asarray(picture).reshape(*image.shape[1:], -1).transpose(2, 0, 1)
            np.testing.assert_array_equal(pixels, image)
    assert png == b""


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lengths_of_records_are_those_of_the_page(channels):
    page = Path(__file__).parents[3] / "docs" / "reference" / "pyramid-format.md"
    row = re.search(rf"^\| C = {channels} \|(.*)\|$", page.read_text(), re.M)[1]
    sides = [4 << log2 for log2 in range(9)]
    lengths = [record_layout(ImageType(channels, side, side)).record_bytes for side in sides]
    assert [int(number) for number in row.split("|")] == lengths
