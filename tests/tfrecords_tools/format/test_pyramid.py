"""Opening pyramids, whole and damaged."""

import gzip
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import encode_records, level_name, open_pyramid

PREFIX = "original_pyramid"


def refused(directory, *words):
    with pytest.raises(UserError) as caught:
        open_pyramid(directory)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert re.search(word, message), message
    return message


def test_the_originals_pyramid_opens_without_a_manifest(golden):
    pyramid = open_pyramid(golden)
    assert (pyramid.name, pyramid.count, pyramid.channels) == (PREFIX, 12, 3)
    assert (pyramid.resolution, pyramid.label_size) == (32, 4)
    assert [level.resolution for level in pyramid.levels] == [4, 8, 16, 32]
    assert pyramid.labels.dtype == np.float32 and pyramid.labels.shape == (12, 4)
    assert pyramid.manifest is None and pyramid.label_names is None


def test_a_pyramid_of_this_project_has_a_manifest(write, array_source, random_images):
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
    source = array_source(random_images(4, 1, 8), labels, label_names=("a", "b", "c"))
    pyramid = open_pyramid(write(source))
    assert pyramid.label_names == ("a", "b", "c") and pyramid.label_size == 3
    assert pyramid.manifest["count"] == 4
    assert pyramid.channels == 1


def test_a_renamed_directory_opens_by_its_files_names(golden_copy):
    renamed = golden_copy.rename(golden_copy.with_name("other"))
    assert open_pyramid(str(renamed)).name == PREFIX


def test_an_unknown_resolution_is_refused(golden):
    pyramid = open_pyramid(golden)
    with pytest.raises(UserError, match=r"levels are 4, 8, 16, 32\. Received: 64"):
        pyramid.level(64)


def test_a_missing_directory_is_named(tmp_path):
    refused(tmp_path / "nothing", "nothing: no such directory")


def test_a_file_is_not_a_pyramid(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file", "file: not a directory")


def test_a_directory_without_levels_is_refused(tmp_path):
    refused(tmp_path, "no pyramid in it; expected files like NAME-r02.tfrecords")


def test_two_pyramids_in_one_directory_are_listed(golden_copy):
    (golden_copy / "second-r02.tfrecords").write_bytes(b"")
    refused(golden_copy, "must hold one pyramid. Received: original_pyramid, second")


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_a_missing_level_is_named(golden_copy, resolution):
    path = golden_copy / level_name(PREFIX, resolution)
    path.unlink()
    refused(golden_copy, f"{path}: missing")


def test_a_level_below_4x4_is_refused(golden_copy):
    (golden_copy / f"{PREFIX}-r01.tfrecords").write_bytes(b"")
    refused(golden_copy, "r01.tfrecords: unexpected")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_level_truncated_anywhere_is_refused_and_named(golden_copy, golden, data):
    resolution = data.draw(st.sampled_from([4, 8, 16, 32]))
    name = level_name(PREFIX, resolution)
    whole = (golden / name).read_bytes()
    path = golden_copy / name
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        refused(golden_copy, r"r0[2345]\.tfrecords: ")
    finally:
        path.write_bytes(whole)


def test_an_empty_level_is_refused(golden_copy):
    (golden_copy / level_name(PREFIX, 8)).write_bytes(b"")
    refused(golden_copy, "r03.tfrecords: empty")


def test_levels_with_different_counts_are_refused(golden_copy):
    path = golden_copy / level_name(PREFIX, 8)
    path.write_bytes(path.read_bytes()[: 11 * 247])
    refused(golden_copy, "r03.tfrecords", "12 images of 3 channels at 32x32", "Received: 11 images")


def test_levels_with_different_channels_are_refused(golden_copy, random_images):
    path = golden_copy / level_name(PREFIX, 8)
    path.write_bytes(encode_records(random_images(12, 1, 8)).tobytes())
    refused(golden_copy, "r03.tfrecords", "Received: 12 images of 1 channels at 8x8")


def test_a_level_with_images_of_another_size_is_refused(golden_copy):
    small = golden_copy / level_name(PREFIX, 8)
    small.write_bytes((golden_copy / level_name(PREFIX, 16)).read_bytes())
    refused(golden_copy, r"r03.tfrecords: .*shape \[1, 2, 3 or 4 8 8\]", r"Received: \[3 16 16\]")


def test_images_of_five_channels_are_refused(golden_copy):
    image = np.zeros((12, 5, 4, 4), np.uint8)
    (golden_copy / level_name(PREFIX, 4)).write_bytes(encode_records(image).tobytes())
    refused(golden_copy, r"r02.tfrecords: .*Received: \[5 4 4\]")


def test_a_compressed_level_is_refused(golden_copy):
    path = golden_copy / level_name(PREFIX, 4)
    path.write_bytes(gzip.compress(path.read_bytes()))
    refused(golden_copy, "r02.tfrecords: compressed by gzip")


def test_a_file_of_other_data_is_refused(golden_copy):
    (golden_copy / level_name(PREFIX, 4)).write_bytes(b"something else" * 100)
    refused(golden_copy, "r02.tfrecords: its first record has no feature 'shape'")


def test_labels_of_the_wrong_length_are_refused(golden_copy):
    path = golden_copy / f"{PREFIX}-rxx.labels"
    with path.open("wb") as file:
        np.save(file, np.zeros((11, 4), np.float32))
    refused(golden_copy, "rxx.labels: must hold 12 labels, one an image. Received: 11")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1001])
def test_labels_that_cannot_be_trained_on_are_refused(golden_copy, value):
    path = golden_copy / f"{PREFIX}-rxx.labels"
    labels = np.load(path)
    labels[7, 2] = value
    with path.open("wb") as file:
        np.save(file, labels)
    refused(golden_copy, "rxx.labels: labels must be numbers from -1000 to 1000", "in row 7")


@pytest.mark.parametrize(
    "labels", [np.zeros((12, 4), np.float64), np.zeros(12, np.float32), np.zeros((12, 0), "f4")]
)
def test_labels_of_the_wrong_kind_are_refused(golden_copy, labels):
    with (golden_copy / f"{PREFIX}-rxx.labels").open("wb") as file:
        np.save(file, labels)
    refused(golden_copy, "rxx.labels: ", "Received: ")


@pytest.mark.parametrize("damage", [b"", b"nothing of the sort", "half", "pickle"])
def test_unreadable_labels_are_refused(golden_copy, damage):
    path = golden_copy / f"{PREFIX}-rxx.labels"
    if damage == "pickle":
        with path.open("wb") as file:
            np.save(file, np.array([[object()]]), allow_pickle=True)
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "half" else damage)
    refused(golden_copy, "rxx.labels: ")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_labels_are_read_in_each_of_numpys_formats(golden_copy, version, order):
    labels = np.asarray(np.random.default_rng(0).random((12, 4)), np.float32, order)
    with (golden_copy / f"{PREFIX}-rxx.labels").open("wb") as file:
        np.lib.format.write_array(file, labels, version)
    np.testing.assert_array_equal(open_pyramid(golden_copy).labels, labels)


def manifest(**changes):
    return json.dumps({"format_version": 1, "count": 12, "resolution": 32, "channels": 3} | changes)


def test_a_manifest_that_agrees_is_kept(golden_copy):
    (golden_copy / "manifest.json").write_text(manifest(label_names=["a", "b", "c", "d"]))
    assert open_pyramid(golden_copy).label_names == ("a", "b", "c", "d")
    (golden_copy / "manifest.json").write_text(manifest(label_names=["a", "\ud800", "c", "d"]))
    assert open_pyramid(golden_copy).label_names == ("a", "\\ud800", "c", "d")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (manifest(count=13), "'count' is 13 in the manifest, 12 in the files"),
        (manifest(resolution=64), "'resolution' is 64"),
        (manifest(channels=1), "'channels' is 1"),
        (manifest(count="12"), "'count' must be of type int. Received: '12'"),
        (manifest(label_names=["a"]), "must name the 4 classes .* Received: 1"),
        (manifest(label_names="abcd"), "'label_names' must be a list of strings"),
        (manifest(format_version=99), "later version .* Received: 99"),
        ("{", "not valid JSON"),
        ("\x00\xff", "not valid JSON"),
        ("[]", "not a pyramid's manifest"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(golden_copy, text, expected):
    (golden_copy / "manifest.json").write_bytes(text.encode("latin-1"))
    refused(golden_copy, f"manifest.json: .*{expected}")
