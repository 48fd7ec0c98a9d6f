"""Sharded and PNG pyramids: the same images in other files."""

import os
import threading

import numpy as np
import pytest

from tests.helpers.writing import FlawedSource, contents
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing import conversion
from tfrecords_tools.writing.levels import make_levels

STORAGE = [("raw", 1), ("raw", 3), ("png", 1), ("png", 3)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
def test_every_storage_holds_the_same_images(
    write, array_source, random_images, encoding, shards, channels
):
    images = random_images(20, channels, 16)
    labels = np.eye(20, dtype=np.float32)
    source = array_source(images, labels)
    pyramid = open_pyramid(write(source, encoding=encoding, shards=shards))
    assert (pyramid.count, pyramid.encoding, pyramid.shards) == (20, encoding, shards)
    order = pyramid.labels.argmax(axis=1)
    for expected in make_levels(images[order]):
        level = pyramid.level(expected.shape[-1])
        np.testing.assert_array_equal(level.read(np.arange(20)), expected)
        picked = np.array([19, 0, 7, 7, 6, 13])
        np.testing.assert_array_equal(level.read(picked), expected[picked])


@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
def test_the_number_of_workers_changes_no_byte_in_any_storage(write, encoding, shards):
    source = SyntheticSource(count=61, resolution=8, with_labels=True)
    options = {"encoding": encoding, "shards": shards}
    alone = write(source, "alone/shapes", num_workers=1, **options)
    shared = write(source, "shared/shapes", num_workers=2, **options)
    assert contents(alone) == contents(shared)


@pytest.mark.parametrize(("encoding", "shards"), STORAGE[1:])
def test_the_originals_reader_finds_no_file_that_it_would_misread(
    write, array_source, random_images, encoding, shards
):
    directory = write(array_source(random_images(6, 1, 8)), encoding=encoding, shards=shards)
    assert list(directory.glob("*.tfrecords")) == []
    levels = [f"r{log2:02d}.tfrecords-{shard:05d}-of-{shards:05d}"
              for log2 in (2, 3) for shard in range(shards)]  # fmt: skip
    expected = [f"pyramid-{level}" for level in levels]
    if encoding == "png":
        expected += [f"{name}.index" for name in expected]
    assert sorted(os.listdir(directory)) == sorted(["manifest.json", *expected])


@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
@pytest.mark.parametrize("bad", [{0, 5}, set(range(7)), set(range(7, 14)), set(range(1, 20))])
def test_skipped_images_leave_no_gaps_in_any_storage(
    write, array_source, random_images, monkeypatch, encoding, shards, bad
):
    monkeypatch.setattr(conversion, "_CHUNK_IMAGES", 3)
    images = random_images(20, 1, 8)
    source = FlawedSource(array_source(images, np.eye(20, dtype=np.float32), shuffled=False), bad)
    directory = write(source, encoding=encoding, shards=shards, skip_bad_images=True)
    pyramid = open_pyramid(directory)
    kept = np.array([index for index in range(20) if index not in bad])
    assert pyramid.count == len(kept)
    np.testing.assert_array_equal(pyramid.level(8).read(np.arange(len(kept))), images[kept])
    np.testing.assert_array_equal(pyramid.labels.argmax(axis=1), kept)


def test_shards_are_equal_parts_in_order(write, array_source, random_images):
    directory = write(array_source(random_images(11, 1, 4), shuffled=False), shards=4)
    counts = [file.count for file in open_pyramid(directory).level(4).files]
    assert counts == [2, 3, 3, 3]


def test_more_shards_than_images_are_an_error(write, tmp_path, array_source, random_images):
    with pytest.raises(UserError, match=r"--shards must be at most 3.* Received: 4"):
        write(array_source(random_images(3, 1, 4)), shards=4)
    assert os.listdir(tmp_path) == []


def test_tensorflow_reads_png_records(write, array_source, random_images):
    tf = pytest.importorskip("tensorflow")
    images = random_images(5, 3, 8)
    directory = write(array_source(images, shuffled=False), encoding="png", shards=2)
    features = {
        "shape": tf.io.FixedLenFeature([3], tf.int64),
        "data": tf.io.FixedLenFeature([], tf.string),
    }
    files = sorted(str(path) for path in directory.glob("*-r03.tfrecords-?????-of-00002"))
    read = []
    for record in tf.data.TFRecordDataset(files):
        example = tf.io.parse_single_example(record, features)
        assert example["shape"].numpy().tolist() == [3, 8, 8]
        read.append(tf.io.decode_png(example["data"]).numpy().transpose(2, 0, 1))
    np.testing.assert_array_equal(np.stack(read), images)


def test_threads_may_share_a_level_of_large_png_images(write, array_source, random_images):
    images = random_images(6, 3, 128)
    level = open_pyramid(write(array_source(images, shuffled=False), encoding="png")).level(128)
    failures = []

    def read(seed):
        indices = np.random.default_rng(seed).integers(0, 6, 12)
        if not np.array_equal(level.read(indices), images[indices]):
            failures.append(indices)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
