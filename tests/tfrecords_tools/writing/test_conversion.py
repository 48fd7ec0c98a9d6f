"""Cutting a pyramid's images into chunks."""

import itertools

import numpy as np

from tfrecords_tools.writing.conversion import make_chunks
from tfrecords_tools.writing.layout import Layout


def test_chunks_cover_every_image_once_and_none_is_in_two_shards():
    for count, shards, workers in itertools.product([1, 7, 1000], [1, 3, 7], [1, 2]):
        if shards > count:
            continue
        layout = Layout("x", count, 1, 4, "raw", shards)
        chunks = list(make_chunks(np.arange(count), layout, [], workers))
        assert np.concatenate([chunk.indices for chunk in chunks]).tolist() == list(range(count))
        for chunk in chunks:
            first, last = layout.bounds(chunk.shard)
            assert first <= chunk.start and chunk.start + len(chunk.indices) <= last
