"""Output that appears whole or not at all."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import staged_directory
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


def test_overwrite_does_not_delete_what_is_no_pyramid(tmp_path):
    output = tmp_path / "home"
    make(output)
    (output / "thesis.tex").write_text("")
    for overwrite in (True, False):
        with pytest.raises(UserError, match=r"something else than a pyramid.* with thesis\.tex"):
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


def test_a_place_where_nothing_can_be_written_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(UserError, match=r"cannot write in .*: Read-only file system"):
        make(tmp_path / "out")


def test_what_a_killed_run_left_is_removed_but_not_what_a_running_one_writes(tmp_path):
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
