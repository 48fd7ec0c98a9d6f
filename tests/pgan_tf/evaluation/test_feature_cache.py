import errno
import json
import os
import socket

import numpy as np
import pytest

from pgan_tf.evaluation import feature_cache
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import digest_of
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

KEY = {"measurement": "patches", "count": 3}


def write(cache, key=KEY):
    with cache.entry(key) as entry:
        mapped = entry.allocate("16", (2, 3))
        mapped[:] = np.arange(6).reshape(2, 3)
        entry.fill({"16": mapped, "other": np.array([7.0])})
    return mapped


def test_features_are_found_under_their_own_key_alone(tmp_path):
    cache = FeatureCache(tmp_path / "evaluation")
    assert cache.load(KEY) is None
    write(cache)
    found = cache.load(KEY)
    np.testing.assert_array_equal(found["16"], np.arange(6).reshape(2, 3))
    assert found["other"] == 7
    assert cache.load({**KEY, "count": 4}) is None


def test_a_damaged_entry_is_extracted_again(tmp_path, caplog):
    cache = FeatureCache(tmp_path)
    write(cache)
    (path,) = tmp_path.glob("*/16.npy")
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.load(KEY) is None
    assert "extracting the features again" in caplog.text
    write(cache)
    assert cache.load(KEY)["16"][1, 2] == 5


def test_an_entry_that_was_edited_is_extracted_again(tmp_path, caplog):
    cache = FeatureCache(tmp_path)
    write(cache)
    (file,) = tmp_path.glob("*/16.npy")
    np.save(file, np.full((2, 3), 1000, np.float32))
    assert cache.load(KEY) is None
    assert "damaged, or edited: the checksums of its arrays are wrong" in caplog.text


def test_an_entry_without_checksums_is_extracted_again(tmp_path, caplog):
    cache = FeatureCache(tmp_path)
    write(cache)
    (key,) = tmp_path.glob("*/key.json")
    key.write_text(json.dumps(KEY))
    assert cache.load(KEY) is None
    assert "extracting the features again: it carries no checksums" in caplog.text


def test_an_unfinished_entry_is_removed(tmp_path):
    cache = FeatureCache(tmp_path)
    with pytest.raises(RuntimeError), cache.entry(KEY) as entry:
        entry.allocate("16", (2, 3))
        raise RuntimeError
    assert cache.load(KEY) is None
    assert list(tmp_path.iterdir()) == []


def test_without_keeping_nothing_stays_but_the_array(tmp_path):
    cache = FeatureCache(tmp_path, keep=False)
    mapped = write(cache)
    assert list(tmp_path.iterdir()) == []
    assert mapped[1, 2] == 5
    assert cache.load(KEY) is None


def test_room_for_fakes_leaves_no_file(tmp_path):
    array = FeatureCache(tmp_path).allocate("32", (4, 5))
    array[:] = 1
    assert array.sum() == 20 and array.dtype == np.float32
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_are_removed_and_others_are_not(tmp_path):
    mine = tmp_path / f".patches-1.{socket.gethostname()}.{os.getppid()}.partial"
    dead = tmp_path / f".patches-1.{socket.gethostname()}.{2**22 + 1}.partial"
    elsewhere = tmp_path / f".patches-1.another-host.{2**22 + 1}.partial"
    for path in (mine, dead, elsewhere):
        path.mkdir()
    write(FeatureCache(tmp_path))
    assert mine.exists() and elsewhere.exists() and not dead.exists()


def test_a_full_disk_is_a_users_error(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(feature_cache.os, "posix_fallocate", refuse)
    with pytest.raises(UserError, match="No space left on device; name a --cache_dir"):
        FeatureCache(tmp_path).allocate("32", (4, 5))
    with pytest.raises(UserError, match="No space left"):
        write(FeatureCache(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_room_is_taken_on_systems_that_cannot_reserve_it(tmp_path, monkeypatch):
    monkeypatch.delattr(feature_cache.os, "posix_fallocate")
    monkeypatch.setattr(feature_cache, "_BLOCK", 7)
    cache = FeatureCache(tmp_path)
    write(cache)
    np.testing.assert_array_equal(cache.load(KEY)["16"], np.arange(6).reshape(2, 3))
    array = cache.allocate("32", (4, 5))
    array[:] = 2
    assert array.sum() == 40


def test_data_without_a_manifest_are_known_by_their_content(tmp_path):
    digests = []
    for name, seed in (("a", 0), ("b", 1)):
        directory = write_pyramid(tmp_path / name, resolution=8, channels=1, seed=seed)
        digests.append(digest_of(open_pyramid(directory), 8))
    assert digests[0] != digests[1]
    assert digests[0] == digest_of(open_pyramid(tmp_path / "a"), 8)
    assert digests[0] != digest_of(open_pyramid(tmp_path / "a"), 4)
