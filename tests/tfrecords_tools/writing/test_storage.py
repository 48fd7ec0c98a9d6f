"""Shards and PNG: other files, the same images."""

import itertools
import json
import os
import threading

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.sources.base import BadImageError
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing import conversion, disk
from tfrecords_tools.writing.levels import make_levels
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

STORAGE = [("raw", 1), ("raw", 3), ("png", 1), ("png", 3)]


class Flawed:
    """A source some of whose images are bad."""

    def __init__(self, source, bad):
        self.source, self.bad = source, frozenset(bad)

    def __getattr__(self, name):
        return getattr(self.source, name)

    def load(self, index):
        if index in self.bad:
            raise BadImageError(f"{index}.png", "is damaged")
        return self.source.load(index)


def contents(directory):
    return {name: (directory / name).read_bytes() for name in sorted(os.listdir(directory))}


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
    source = Flawed(array_source(images, np.eye(20, dtype=np.float32), shuffled=False), bad)
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


def refused(directory, *words):
    with pytest.raises(UserError) as caught:
        open_pyramid(directory)
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def sharded(write, array_source, random_images):
    return write(array_source(random_images(6, 1, 8)), encoding="png", shards=2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pyramid-r03.tfrecords-00001-of-00002", ("00001-of-00002: missing", "2 shards")),
        ("pyramid-r02.tfrecords-00000-of-00002", ("r02.tfrecords-00000-of-00002: missing",)),
        ("pyramid-r02.tfrecords-00000-of-00002.index", ("00000-of-00002.index: missing",)),
    ],
)
def test_a_missing_file_is_named(sharded, name, words):
    (sharded / name).unlink()
    refused(sharded, *words)


def test_shards_of_another_number_are_refused(sharded):
    (sharded / "pyramid-r03.tfrecords-00002-of-00003").write_bytes(b"")
    refused(sharded, "pyramid-r03.tfrecords-0000")


def test_a_plain_level_beside_shards_is_refused(sharded):
    (sharded / "pyramid-r03.tfrecords").write_bytes(b"")
    refused(sharded, "pyramid-r03.tfrecords: unexpected beside")


def test_a_level_of_fewer_shards_is_refused(write, array_source, random_images):
    source = array_source(random_images(6, 1, 8))
    two, one = write(source, "two/x", shards=2), write(source, "one/x")
    for path in two.glob("x-r02*"):
        path.unlink()
    (two / "x-r02.tfrecords").write_bytes((one / "x-r02.tfrecords").read_bytes())
    refused(two, "x-r02.tfrecords: every level must be cut into as many files, 2. Received: 1")


def rewrite_manifest(directory, **changes):
    manifest = json.loads((directory / "manifest.json").read_text())
    del manifest["checksum"]
    (directory / "manifest.json").write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "jpeg"}, ("'encoding' must be raw or png. Received: 'jpeg'",)),
        ({"encoding": None}, ("'encoding' must be raw or png. Received: None",)),
        ({"format_version": 2}, ("later version", "Received: 2")),
        ({"format_version": 0}, ("format_version must be 1. Received: 0",)),
        ({"format_version": True}, ("'format_version' is missing",)),
        ({"shards": 3}, ("'shards' is 3 in the manifest, 2 in the files",)),
        ({"files": []}, ("'files' must be of type dict",)),
    ],
)
def test_an_unknown_format_is_refused_when_opening(sharded, changes, words):
    rewrite_manifest(sharded, **changes)
    refused(sharded, "manifest.json: ", *words)


def test_an_edited_manifest_is_refused_unless_its_checksum_goes_too(sharded):
    path = sharded / "manifest.json"
    path.write_text(path.read_text().replace('"array"', '"other"'))
    refused(sharded, "manifest.json: damaged, or edited: its checksum is wrong")
    rewrite_manifest(sharded)
    assert open_pyramid(sharded).manifest["source"] == {"kind": "other"}


def test_without_a_manifest_the_index_says_that_images_are_encoded(sharded):
    (sharded / "manifest.json").unlink()
    assert open_pyramid(sharded).encoding == "png"


def test_labels_changed_by_one_bit_are_refused(write, array_source, random_images):
    directory = write(array_source(random_images(4, 1, 4), np.eye(4, dtype=np.float32)))
    path = directory / "pyramid-rxx.labels"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refused(directory, "pyramid-rxx.labels: damaged", "SHA-256")


def free(monkeypatch, size):
    class Usage:
        free = size

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage)


def test_the_disk_that_png_needs_is_a_bound_and_judged_by_a_sample_where_that_is_too_much(
    tmp_path, array_source, monkeypatch
):
    # Flat images: compressed they are a twentieth of the bound.
    images = np.repeat(np.arange(100, dtype=np.uint8), 3 * 64 * 64).reshape(100, 3, 64, 64)
    lines = []
    options = WriteOptions(encoding="png", num_workers=1)
    write_pyramid(array_source(images), tmp_path / "a", options, {}, lines.append)
    assert "at most 1.8 MB needed, " in lines[0]
    used = sum(path.stat().st_size for path in (tmp_path / "a").iterdir())
    assert used < 200_000
    free(monkeypatch, 1_500_000)
    write_pyramid(array_source(images), tmp_path / "b", options, {}, lines.append)
    assert ", about " in lines[1] and "judging by 16 of them, 1.5 MB free" in lines[1]
    free(monkeypatch, 1_000_000)
    with pytest.raises(UserError, match=r"not enough disk: at most .* about .* Received: 1.0 MB"):
        write_pyramid(array_source(images), tmp_path / "c", options, {}, lines.append)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_chunks_cover_every_image_once_and_none_is_in_two_shards():
    for count, shards, workers in itertools.product([1, 7, 1000], [1, 3, 7], [1, 2]):
        if shards > count:
            continue
        layout = conversion.Layout("x", count, 1, 4, "raw", shards)
        chunks = list(conversion.make_chunks(np.arange(count), layout, [], workers))
        assert np.concatenate([chunk.indices for chunk in chunks]).tolist() == list(range(count))
        for chunk in chunks:
            first, last = layout.bounds(chunk.shard)
            assert first <= chunk.start and chunk.start + len(chunk.indices) <= last
