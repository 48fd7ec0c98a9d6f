"""Output that appears whole or not at all."""

import errno
import fcntl
import os
import socket
import subprocess
import sys

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import (
    partial_directory,
    remove_partial_directories,
    remove_partial_files,
    replace_directory,
    staged_directory,
    whole_file,
    whole_output_file,
)
from tfrecords_tools.writing.writer import check_pyramid_output


def make(output, text="new"):
    with staged_directory(output) as staging:
        assert staging.parent == output.parent
        (staging / f"{output.name}-r02.tfrecords").write_text(text)


def test_the_output_appears_when_the_block_ends(tmp_path):
    output = tmp_path / "out"
    with staged_directory(output) as staging:
        (staging / "file").write_text("x")
        assert not output.exists()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(output) == ["file"]


def test_the_output_has_the_usual_permissions(tmp_path):
    make(tmp_path / "out")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_parents_are_made_and_unmade_with_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), staged_directory(tmp_path / "a/b/out"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    make(tmp_path / "a/b/out")
    assert os.listdir(tmp_path / "a/b") == ["out"]


def test_an_existing_pyramid_is_refused_and_with_overwrite_replaced(tmp_path):
    output = tmp_path / "out"
    make(output, "old")
    with pytest.raises(UserError, match="out: exists already; --overwrite replaces it"):
        check_pyramid_output(output, overwrite=False)
    check_pyramid_output(output, overwrite=True)
    make(output)
    assert (output / "out-r02.tfrecords").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_an_existing_pyramid_survives_a_failed_replacement(tmp_path):
    output = tmp_path / "out"
    make(output, "old")
    with pytest.raises(ValueError, match="stop"), staged_directory(output):
        raise ValueError("stop")
    assert (output / "out-r02.tfrecords").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_overwrite_never_deletes_other_files(tmp_path):
    output = tmp_path / "home"
    make(output)
    (output / "thesis.tex").write_text("")
    for overwrite in (True, False):
        with pytest.raises(
            UserError, match=r"files that are not part of a pyramid.* with thesis\.tex"
        ):
            check_pyramid_output(output, overwrite=overwrite)


def test_an_empty_directory_may_be_the_output(tmp_path):
    (tmp_path / "out").mkdir()
    check_pyramid_output(tmp_path / "out", overwrite=False)
    make(tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["out-r02.tfrecords"]


@pytest.mark.parametrize("path", ["file", "file/out", "file/deeper/out"])
def test_a_file_in_the_way_is_refused(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"--output={tmp_path / path}: .*file"):
        check_pyramid_output(tmp_path / path, overwrite=True)


def test_the_root_directory_is_no_output(tmp_path):
    with pytest.raises(UserError, match="--output must name a new directory"):
        check_pyramid_output(tmp_path.parents[-1], overwrite=True)


def test_a_directory_that_is_not_writable_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(UserError, match=r"cannot write in .*: Read-only file system"):
        make(tmp_path / "out")


def test_the_directory_of_a_killed_run_is_removed_but_not_that_of_a_running_one(tmp_path):
    abandoned, busy = tmp_path / ".out.partial-dead", tmp_path / ".out.partial-alive"
    foreign = tmp_path / ".other.partial-dead"
    for path in (abandoned, busy, foreign):
        path.mkdir()
        (path / "file").write_text("")
    code = (
        "import fcntl, os, sys, time; d = os.open(sys.argv[1], os.O_RDONLY);"
        " fcntl.flock(d, fcntl.LOCK_EX); print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(busy)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        make(tmp_path / "out")
        other.kill()
    assert sorted(os.listdir(tmp_path)) == [".other.partial-dead", ".out.partial-alive", "out"]


def test_a_directory_being_written_is_locked(tmp_path):
    with staged_directory(tmp_path / "out") as staging:
        descriptor = os.open(staging, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


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


def test_partial_files_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    left = [
        ".a.png.123.partial",
        ".metrics.partial",
        ".a.0a1b2c3d.partial.keras",
        ".b.12.partial.x",
    ]
    kept = ["a.partial.png", ".hidden", ".a.partial.tar.gz", ".out.partial-dead"]
    for name in left + kept:
        (tmp_path / name).write_text("")
    (tmp_path / ".directory.partial").mkdir()
    remove_partial_files(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, ".directory.partial"])
    remove_partial_files(tmp_path / "missing")


def test_a_partial_directory_replaces_another_or_is_gone(tmp_path):
    target = tmp_path / "entry"
    for text in ("old", "new"):
        with partial_directory(target) as directory:
            (directory / "file").write_text(text)
            replace_directory(directory, target)
        assert (target / "file").read_text() == text
    with partial_directory(target) as directory:
        (directory / "file").write_text("unwanted")
    assert (target / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["entry"]


def test_partial_directories_of_killed_processes_of_this_machine_are_removed(tmp_path):
    host, dead = socket.gethostname(), 2**22 + 1
    names = [f".x.{host}.{os.getppid()}.partial", f".x.elsewhere.{dead}.partial"]
    for name in [*names, f".x.{host}.{dead}.partial"]:
        (tmp_path / name).mkdir()
    remove_partial_directories(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names)
