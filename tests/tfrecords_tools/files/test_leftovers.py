"""Leftovers of killed processes are removed or put back; everything else is left alone."""

import fcntl
import os
import socket
import subprocess
import sys
import time

import pytest

from tfrecords_tools.files import JOURNAL_NAME, remove_leftovers, whole_file
from tfrecords_tools.files.leftovers import new_partial_file, new_staging_directory

ABANDONED = ".other.partial-deadbeef"


def make_directory(path, *, mode=0o700, holds="file"):
    path.mkdir()
    (path / holds).write_text(path.name)
    path.chmod(mode)
    return path


def left_after_kill(code, directory):
    """Run code until it prints a line, and kill it; return the names in the directory."""
    code = f"import pathlib, time\npath = pathlib.Path({str(directory)!r}) / 'out'\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        remove_leftovers(directory)
        assert len(os.listdir(directory)) == 1  # not while it lives
        process.kill()
    return os.listdir(directory)


@pytest.mark.parametrize("kind", ["staged_directory", "partial_directory", "whole_file"])
def test_what_a_killed_process_leaves_is_removed_at_the_next_start(tmp_path, kind):
    code = (
        f"from tfrecords_tools.files import {kind}\n"
        f"with {kind}(path): print('begun', flush=True); time.sleep(60)"
    )
    assert len(left_after_kill(code, tmp_path)) == 1
    (tmp_path / "file").touch()
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_the_next_file_in_a_directory_removes_those_of_killed_processes(tmp_path):
    left = [".a.png.123.partial", ".a.0a1b2c3d.partial.keras", ".b.12.partial.x"]
    kept = ["a.partial.png", ".hidden", ".a.partial", ".a.partial.tar.gz", ".out.partial-dead"]
    for name in left + kept:
        (tmp_path / name).write_text("")
    with whole_file(tmp_path / "grid.png") as temporary:
        temporary.touch()
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "grid.png"])


def test_only_directories_like_ours_are_removed(tmp_path):
    kept = [
        make_directory(tmp_path / ".other.partial-download", mode=0o755),
        make_directory(tmp_path / ".other.partial-short"),
        make_directory(tmp_path / "visible.partial-deadbeef"),
        make_directory(tmp_path / f".x.{socket.gethostname()}.{os.getppid()}.partial"),
        make_directory(tmp_path / ".x.elsewhere.4194305.partial"),
    ]
    (tmp_path / ".link.partial-deadbeef").symlink_to(kept[0])
    (tmp_path / ".link.0a1b2c3d.partial").symlink_to(kept[0] / "file")
    make_directory(tmp_path / ABANDONED)
    make_directory(tmp_path / f".x.{socket.gethostname()}.4194305.partial")
    remove_leftovers(tmp_path)
    names = [*(path.name for path in kept), ".link.partial-deadbeef", ".link.0a1b2c3d.partial"]
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_what_can_be_continued_is_kept_and_named_once(tmp_path, caplog):
    make_directory(tmp_path / ABANDONED, holds=JOURNAL_NAME)
    for _ in range(2):
        remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == [ABANDONED]
    assert caplog.text.count(f"{ABANDONED}: an interrupted command left it, with a part of") == 1
    assert f"{tmp_path}/other. The same command continues it with --resume" in caplog.text


@pytest.mark.parametrize("target", ["missing", "there"])
def test_what_was_moved_aside_is_put_back_or_removed(tmp_path, target):
    if target == "there":
        make_directory(tmp_path / "other", holds="new")
    make_directory(tmp_path / ".other.0a1b2c3d.replaced", holds="old")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["other"]
    assert os.listdir(tmp_path / "other") == (["new"] if target == "there" else ["old"])


def test_what_a_process_is_moving_aside_is_left_to_it(tmp_path):
    replaced = make_directory(tmp_path / ".other.0a1b2c3d.replaced")
    opened = os.open(replaced, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_SH)
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == [replaced.name]
    os.close(opened)


def test_without_locks_only_old_files_are_removed(tmp_path, no_locks):
    make_directory(tmp_path / ABANDONED)
    for name, age in ((".a.0a1b2c3d.partial", 3600), (".b.0a1b2c3d.partial", 2 * 86400)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.0a1b2c3d.partial", ABANDONED]


def test_what_is_taken_for_a_leftover_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    from tfrecords_tools.files import leftovers

    take = leftovers.lock

    def remove_first(descriptor):
        monkeypatch.setattr(leftovers, "lock", take)
        remove_leftovers(tmp_path)
        return take(descriptor)

    for make in (new_partial_file, new_staging_directory):
        monkeypatch.setattr(leftovers, "lock", remove_first)
        made, descriptor = make(tmp_path / "out")
        assert os.listdir(tmp_path) == [made.name]
        made.rmdir() if made.is_dir() else made.unlink()
        os.close(descriptor)


def test_a_directory_that_is_missing_has_none(tmp_path):
    remove_leftovers(tmp_path / "missing")
