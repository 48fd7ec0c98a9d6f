"""Pyramids of more than 1,048,576 images, beyond which the original's reader drops images."""

import dataclasses

import numpy as np
import pytest

from tfrecords_tools.format import encode_records, open_pyramid
from tfrecords_tools.sources.base import EightBitSquares
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

pytestmark = pytest.mark.slow

COUNT = (1 << 20) + 7


def numbered(indices):
    """Images [k 1 4 4] whose first four bytes are their numbers."""
    images = np.zeros((len(indices), 16), np.uint8)
    images[:, :4] = np.asarray(indices, "<u4").view(np.uint8).reshape(-1, 4)
    return images.reshape(-1, 1, 4, 4)


@dataclasses.dataclass(frozen=True)
class Numbers(EightBitSquares):
    """A source of any number of images, whose first four bytes are their numbers."""

    count: int
    channels: int = 1
    resolution: int = 4
    shuffled: bool = False
    label_names: None = None

    def labels(self):
        return None

    def load(self, index):
        image = np.zeros(16, np.uint8)
        image[:4].view("<u4")[0] = index
        return image.reshape(1, 4, 4)

    def describe(self):
        return {"kind": "numbers"}


LAST = np.array([0, (1 << 20) - 1, 1 << 20, COUNT - 1])


@pytest.mark.parametrize("shards", [1, 3])
def test_the_reader_loses_no_image_past_a_million(tmp_path, shards):
    (tmp_path / "x").mkdir()
    records = encode_records(numbered(np.arange(COUNT)))
    if shards == 1:
        records.tofile(tmp_path / "x/x-r02.tfrecords")
    else:
        for shard, shard_records in enumerate(np.array_split(records, shards)):
            shard_records.tofile(tmp_path / f"x/x-r02.tfrecords-{shard:05d}-of-{shards:05d}")
    pyramid = open_pyramid(tmp_path / "x")
    assert pyramid.count == COUNT
    np.testing.assert_array_equal(pyramid.level(4).read(LAST), numbered(LAST))


def test_the_writer_loses_no_image_past_a_million(tmp_path):
    options = WriteOptions(shuffle=False)
    summary = write_pyramid(Numbers(COUNT), tmp_path / "x", options, {}, lambda line: None)
    assert summary.count == COUNT
    pyramid = open_pyramid(tmp_path / "x")
    assert pyramid.count == COUNT
    for start in range(0, COUNT, 1 << 18):
        indices = np.arange(start, min(start + (1 << 18), COUNT))
        np.testing.assert_array_equal(pyramid.level(4).read(indices), numbered(indices))
