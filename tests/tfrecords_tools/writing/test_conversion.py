"""Cutting a pyramid's images into chunks."""

import itertools
import types

import numpy as np

from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.shape import SQUARE
from tfrecords_tools.writing.conversion import Converter, make_chunks
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


def test_the_memory_of_a_worker_grows_with_the_images_that_it_may_decode():
    def memory(max_pixels, resolution):
        policy = ImagePolicy(3, resolution, max_pixels=max_pixels)
        return Converter(
            types.SimpleNamespace(policy=policy, resolution=resolution, base=SQUARE), False
        ).memory

    assert memory(10**9, 4) > memory(10**8, 4) + 24 * 9 * 10**8
    assert memory(10**8, 2**14) > memory(10**8, 4) + 10 * 3 * 2**28
    assert Converter(types.SimpleNamespace(resolution=4, base=SQUARE), False).memory > 8 << 30
