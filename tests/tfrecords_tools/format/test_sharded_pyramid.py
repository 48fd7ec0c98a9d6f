"""Sharded pyramids whose files or manifest are wrong, which are refused when opened."""

import json

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid


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
    refused(two, "x-r02.tfrecords: every level must have the same number of files, 2. Received: 1")


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


def test_an_edited_manifest_is_refused_unless_its_checksum_is_removed(sharded):
    path = sharded / "manifest.json"
    path.write_text(path.read_text().replace('"array"', '"other"'))
    refused(sharded, "manifest.json: damaged, or edited: its checksum is wrong")
    rewrite_manifest(sharded)
    assert open_pyramid(sharded).manifest["source"] == {"kind": "other"}


def test_without_a_manifest_an_index_means_png(sharded):
    (sharded / "manifest.json").unlink()
    assert open_pyramid(sharded).encoding == "png"


def test_labels_changed_by_one_bit_are_refused(write, array_source, random_images):
    directory = write(array_source(random_images(4, 1, 4), np.eye(4, dtype=np.float32)))
    path = directory / "pyramid-rxx.labels"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refused(directory, "pyramid-rxx.labels: damaged", "SHA-256")
