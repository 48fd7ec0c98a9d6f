"""Files that appear whole or not at all."""

import contextlib
import errno
import os

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import sync, whole_file, whole_output_file


def test_a_file_appears_when_the_block_ends_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "grid.png"
    path.write_text("old")
    with whole_file(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["grid.png"]


def test_a_file_that_can_not_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "grid.png"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["grid.png"]


def test_an_output_file_appears_whole_or_not_at_all_in_a_directory_that_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "grid.png"
    with whole_output_file(path) as temporary:
        temporary.write_bytes(b"old")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), whole_output_file(path) as temporary:
        temporary.write_bytes(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["grid.png"]


def test_an_output_file_that_can_not_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path, "is a directory"),
        (tmp_path / "file/x.png", "can't be written: File exists"),
    ):
        refused = pytest.raises(UserError, match=f"--output={path}: {reason}")
        with refused, whole_output_file(path):
            pytest.fail("begun")
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_must_not_be_replaced_is_not_even_if_it_appears_at_the_end(tmp_path):
    path = tmp_path / "grid.png"
    with (
        pytest.raises(UserError, match="grid.png: another program has made it meanwhile"),
        whole_output_file(path, replace=False) as temporary,
    ):
        temporary.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["grid.png"]
    with whole_output_file(tmp_path / "new.png", replace=False) as temporary:
        temporary.write_text("mine")
    assert (tmp_path / "new.png").read_text() == "mine"


@pytest.mark.parametrize("exists", [True, False])
def test_an_output_file_may_be_a_link_which_stays_one(tmp_path, exists):
    (tmp_path / "disk").mkdir()
    (tmp_path / "grid.png").symlink_to("disk/target.png")
    if exists:
        (tmp_path / "disk/target.png").write_bytes(b"old")
    with whole_output_file(tmp_path / "grid.png") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "grid.png").is_symlink()
    assert (tmp_path / "disk/target.png").read_bytes() == b"new"
    assert len(os.listdir(tmp_path)) == 2 and os.listdir(tmp_path / "disk") == ["target.png"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP, errno.EIO])
def test_file_systems_that_cannot_force_directories_to_the_disk_are_used(
    tmp_path, monkeypatch, code
):
    def refuse(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError) if code == errno.EIO else contextlib.nullcontext():
        sync(tmp_path)
