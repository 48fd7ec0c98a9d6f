"""Whole pyramids: bytes, order, manifest, and an output directory that is clean after errors."""

import errno
import hashlib
import json
import os

import numpy as np
import pytest

from tests.helpers.writing import FlawedSource
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import level_name, open_pyramid
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing import conversion, raw_output, writer
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid


def golden_source(golden, array_source):
    source = np.load(golden / "source_images.npz")
    labels = np.empty((12, 4), np.float32)
    labels[source["order"]] = np.load(golden / "original_pyramid-rxx.labels")
    return array_source(source["images"], labels)


def test_the_originals_images_give_the_originals_files_byte_for_byte(golden, array_source, write):
    directory = write(golden_source(golden, array_source), "original_pyramid")
    expected = sorted(path.name for path in golden.glob("original_pyramid-*"))
    assert len(expected) == 5
    for name in expected:
        assert (directory / name).read_bytes() == (golden / name).read_bytes(), name
    assert sorted(os.listdir(directory)) == sorted(["manifest.json", *expected])


def test_tensorflow_reads_what_is_written(write, array_source, random_images):
    tf = pytest.importorskip("tensorflow")
    images = random_images(5, 3, 8)
    directory = write(array_source(images, shuffled=False))
    features = {
        "shape": tf.io.FixedLenFeature([3], tf.int64),
        "data": tf.io.FixedLenFeature([], tf.string),
    }
    for resolution in (8, 4):
        records = tf.data.TFRecordDataset(str(directory / level_name("pyramid", resolution)))
        read = []
        for record in records:
            example = tf.io.parse_single_example(record, features)
            pixels = tf.io.decode_raw(example["data"], tf.uint8)
            read.append(tf.reshape(pixels, example["shape"]).numpy())
        expected = open_pyramid(directory).level(resolution).read(np.arange(5))
        np.testing.assert_array_equal(np.stack(read), expected)
        if resolution == 8:
            np.testing.assert_array_equal(np.stack(read), images)


def test_the_manifest_says_what_is_there(write, array_source, random_images):
    source = array_source(random_images(7, 1, 16), np.eye(7, dtype=np.float32))
    directory = write(source)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["format_version"] == 1
    assert (manifest["count"], manifest["resolution"], manifest["channels"]) == (7, 16, 1)
    assert manifest["label_size"] == 7 and manifest["shuffled"] is True
    assert manifest["source"] == {"kind": "array"} and manifest["skipped"] == []
    names = {path.name for path in directory.iterdir()} - {"manifest.json"}
    assert set(manifest["files"]) == names
    for name, stated in manifest["files"].items():
        data = (directory / name).read_bytes()
        assert stated == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_number_of_workers_changes_no_byte(write):
    source = SyntheticSource(count=101, resolution=16, with_labels=True)
    alone = write(source, "a/shapes", num_workers=1)
    shared = write(source, "b/shapes", num_workers=3)
    names = sorted(os.listdir(alone))
    assert names == sorted(os.listdir(shared)) and len(names) == 5
    for name in names:
        assert (alone / name).read_bytes() == (shared / name).read_bytes(), name


def test_without_shuffling_the_sources_order_is_kept(write, array_source, random_images):
    images = random_images(9, 1, 4)
    directory = write(array_source(images), shuffle=False)
    np.testing.assert_array_equal(open_pyramid(directory).level(4).read(np.arange(9)), images)


def test_some_images_are_the_first_of_all_after_shuffling(write, array_source, random_images):
    images, labels = random_images(9, 1, 4), np.eye(9, dtype=np.float32)
    everything = open_pyramid(write(array_source(images, labels), "all"))
    some = open_pyramid(write(array_source(images, labels), "some", num_images=4))
    np.testing.assert_array_equal(
        some.level(4).read(np.arange(4)), everything.level(4).read(np.arange(4))
    )
    np.testing.assert_array_equal(some.labels, everything.labels[:4])


def test_more_images_than_there_are_is_an_error(write, array_source, random_images):
    with pytest.raises(UserError, match=r"--num_images must be at most 3.* Received: 4"):
        write(array_source(random_images(3, 1, 4)), num_images=4)


@pytest.mark.parametrize("bad", [{0}, {59}, {3, 4, 5, 40}, set(range(50)), set(range(1, 60))])
@pytest.mark.parametrize("chunk", [1, 7, 512])
def test_skipped_images_leave_no_gaps(write, array_source, random_images, monkeypatch, bad, chunk):
    monkeypatch.setattr(conversion, "_CHUNK_IMAGES", chunk)
    monkeypatch.setattr(raw_output, "_COPY_BYTES", 100)
    images, labels = random_images(60, 1, 8), np.eye(60, dtype=np.float32)
    whole = array_source(images, labels)
    directory = write(FlawedSource(whole, bad), skip_bad_images=True)
    order = writer.pyramid_order(60, WriteOptions())
    kept = np.array([index for index in order if index not in bad])
    pyramid = open_pyramid(directory)
    assert pyramid.count == 60 - len(bad)
    np.testing.assert_array_equal(pyramid.level(8).read(np.arange(len(kept))), images[kept])
    np.testing.assert_array_equal(pyramid.labels, labels[kept])
    listed = {entry["file"] for entry in pyramid.manifest["skipped"]}
    assert listed == {f"{index}.png" for index in bad}


def test_skipped_images_are_said(tmp_path, array_source, random_images):
    lines = []
    source = FlawedSource(array_source(random_images(5, 1, 4)), {2})
    options = WriteOptions(skip_bad_images=True)
    summary = write_pyramid(source, tmp_path / "out", options, {}, lines.append)
    assert summary.skipped == 1 and summary.count == 4
    assert "Skipped 2.png: is damaged" in lines


def test_a_bad_image_ends_the_run_and_leaves_nothing(write, tmp_path, array_source, random_images):
    source = FlawedSource(array_source(random_images(5, 1, 4)), {2})
    with pytest.raises(BadImageError, match=r"^2.png: is damaged$"):
        write(source)
    assert os.listdir(tmp_path) == []


def test_no_good_image_at_all_is_an_error(write, tmp_path, array_source, random_images):
    source = FlawedSource(array_source(random_images(5, 1, 4)), range(5))
    expected = r"^none of the 5 images can be used \(5: is damaged\); the first: \d.png$"
    with pytest.raises(UserError, match=expected):
        write(source, skip_bad_images=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_leaves_nothing(write, tmp_path, array_source, random_images, stop):
    class Stopping(FlawedSource):
        def load(self, index):
            raise stop

    with pytest.raises(stop):
        write(Stopping(array_source(random_images(5, 1, 4)), ()), "new/folders/pyramid")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_a_users_error_and_leaves_nothing(
    write, tmp_path, array_source, random_images, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match=r"pyramid: the disk filled up; nothing is kept"):
        write(array_source(random_images(5, 1, 4)))
    assert os.listdir(tmp_path) == []


def test_the_images_of_each_class_are_counted(tmp_path, array_source, random_images):
    labels = np.eye(3, dtype=np.float32)[[0, 2, 2, 0, 2]]
    source = FlawedSource(array_source(random_images(5, 1, 4), labels), {3})
    options = WriteOptions(skip_bad_images=True)
    summary = write_pyramid(source, tmp_path / "out", options, {}, lambda line: None)
    assert summary.class_counts == (1, 0, 3) and summary.label_size == 3
