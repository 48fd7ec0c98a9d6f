"""Damage of every kind is found, and never misleads the trainer's reader."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import encode_records, open_pyramid
from tfrecords_tools.inspection.verification import verify
from tfrecords_tools.writing.levels import make_levels
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

pytestmark = pytest.mark.slow

COUNT = 7
STORAGE = [("raw", 1), ("raw", 2), ("png", 2)]
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 16, 16), np.uint8)
LABELS = np.eye(3, dtype=np.float32)[np.arange(COUNT) % 3]


@pytest.fixture(scope="module")
def pyramids(tmp_path_factory, array_source):
    """An intact pyramid of each storage; tests damage copies."""
    root = tmp_path_factory.mktemp("whole")
    source = array_source(IMAGES, LABELS, shuffled=False, label_names=("a", "b", "c"))
    made = {}
    for encoding, shards in STORAGE:
        directory = root / f"{encoding}-{shards}" / "x"
        options = WriteOptions(shuffle=False, encoding=encoding, shards=shards)
        write_pyramid(source, directory, options, {}, lambda line: None)
        made[encoding, shards] = directory
    return made


@pytest.fixture(params=STORAGE, ids=lambda storage: f"{storage[0]}-{storage[1]}")
def copy(pyramids, tmp_path, request):
    return shutil.copytree(pyramids[request.param], tmp_path / "x")


def read_everything(directory):
    pyramid = open_pyramid(directory)
    levels = [level.read(np.arange(pyramid.count)) for level in pyramid.levels]
    return pyramid, levels


def test_a_whole_pyramid_has_no_faults(pyramids, golden):
    for directory in pyramids.values():
        assert verify(directory, 1) == []
    assert verify(golden, 1) == []


def test_two_processes_find_the_same(copy, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.inspection.chunks.CHUNK_IMAGES", 1)
    assert verify(copy, 2) == []
    path = sorted(copy.glob("x-r04*"))[0]
    data = bytearray(path.read_bytes())
    data[200] ^= 4
    path.write_bytes(data)
    assert verify(copy, 2) == verify(copy, 1) != []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_found(copy, data):
    name = data.draw(st.sampled_from(sorted(os.listdir(copy))), label="file")
    path = copy / name
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1), label="byte")
    bit = data.draw(st.integers(0, 7), label="bit")
    damaged = bytearray(whole)
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        problems = verify(copy, 1)
        assert any(name.removesuffix(".index") in problem for problem in problems)
        try:
            pyramid, levels = read_everything(copy)
        except UserError as error:
            assert name.removesuffix(".index") in str(error) or "manifest.json" in str(error)
        else:
            # Nothing but the end of the manifest, its own checksum, may be damaged unnoticed.
            assert name == "manifest.json" and at > len(whole) - 90
            np.testing.assert_array_equal(levels[-1], IMAGES)
            np.testing.assert_array_equal(pyramid.labels, LABELS)
    finally:
        path.write_bytes(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_any_truncated_file_is_found_and_refused(copy, data):
    name = data.draw(st.sampled_from(sorted(os.listdir(copy))), label="file")
    path = copy / name
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1), label="size")])
    try:
        problems = verify(copy, 1)
        assert any(name.removesuffix(".index") in problem for problem in problems)
        # Without the line's end after it, the manifest is still all there.
        if path.read_bytes() != whole[:-1] or name != "manifest.json":
            with pytest.raises(UserError, match=r"x-r|manifest\.json"):
                read_everything(copy)
    finally:
        path.write_bytes(whole)


def test_every_bad_record_is_listed_by_file_and_number(copy):
    for log2, record in ((4, 1), (4, 2), (2, 2)):
        path = sorted(copy.glob(f"x-r{log2:02d}*"))[0]
        file = open_pyramid(copy).level(1 << log2).files[0]
        size = path.stat().st_size // file.count
        data = bytearray(path.read_bytes())
        data[record * size + size // 2] ^= 1
        path.write_bytes(data)
    problems = "\n".join(verify(copy, 1))
    for log2, record in ((4, 1), (4, 2), (2, 2)):
        assert re.search(rf"x-r{log2:02d}\.tfrecords\S*: record {record} \(of", problems), problems
    assert len(re.findall(r": record \d", problems)) == 3


def test_a_level_of_other_images_is_found_though_its_checksums_are_right(golden_copy):
    path = golden_copy / "original_pyramid-r03.tfrecords"
    pyramid = open_pyramid(golden_copy)
    images = pyramid.level(8).read(np.arange(12))
    images[5, 1, 2, 3] ^= 2
    path.write_bytes(encode_records(images).tobytes())
    assert verify(golden_copy, 1) == [
        f"{path}: record 5 is not the 2x2 mean of the same image in"
        " original_pyramid-r05.tfrecords: differs by up to 2"
    ]


def test_means_of_rounded_levels_are_found(golden_copy):
    """Other writers often compute each level from the rounded one above."""
    images = open_pyramid(golden_copy).level(32).read(np.arange(12))
    level = images
    for log2 in (4, 3, 2):
        level = list(make_levels(level))[1]
        path = golden_copy / f"original_pyramid-r{log2:02d}.tfrecords"
        path.write_bytes(encode_records(level).tobytes())
    problems = verify(golden_copy, 1)
    assert problems and all("differs by up to 1" in problem for problem in problems)
    assert not any("r04" in problem for problem in problems)


def test_missing_and_unknown_files_are_named(copy):
    (copy / "notes.txt").write_text("")
    labels = copy / "x-rxx.labels"
    labels.unlink()
    problems = "\n".join(verify(copy, 1))
    assert "notes.txt: not one of the pyramid's files" in problems
    assert "x-rxx.labels: missing; manifest.json lists it" in problems


def test_files_of_the_system_are_no_damage(copy):
    (copy / ".DS_Store").touch()
    assert verify(copy, 1) == []


def test_labels_that_are_not_finite_are_found(golden_copy):
    path = golden_copy / "original_pyramid-rxx.labels"
    labels = np.load(path).copy()
    labels[7, 2] = np.nan
    with path.open("wb") as file:
        np.save(file, labels)
    assert verify(golden_copy, 1) == [
        f"{path}: labels must be numbers from -1000 to 1000. Received: nan in row 7"
    ]


def test_one_damaged_level_does_not_hide_damage_in_another(copy):
    small, full = (sorted(copy.glob(f"x-r{log2}*"))[0] for log2 in ("02", "04"))
    small.write_bytes(small.read_bytes()[:-1])
    data = bytearray(full.read_bytes())
    data[100] ^= 1
    full.write_bytes(data)
    problems = "\n".join(verify(copy, 1))
    assert f"{small}: truncated" in problems and f"{full}: record 0" in problems


def test_a_manifest_without_a_checksum_is_reported(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["checksum"]
    path.write_text(json.dumps(manifest))
    assert verify(copy, 1) == [
        f"{path}: does not end with a checksum of itself: edited, or damaged"
    ]


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_directory_without_a_pyramid_is_a_users_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"{name}: no "):
        verify(tmp_path / name, 1)
