"""Directories that appears whole or not at all."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import (
    JOURNAL_NAME,
    filled_directory,
    partial_directory,
    replace_directory,
    settle_output,
    staged_directory,
)
from tfrecords_tools.writing.writer import check_pyramid_output


def make(output, text="new", check=None):
    with staged_directory(output, check=check or (lambda: None)) as staging:
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


@pytest.mark.parametrize("earlier", [False, True])
def test_files_that_file_managers_make_are_in_nobodys_way(tmp_path, earlier):
    output = tmp_path / "out"
    make(output, "old") if earlier else output.mkdir()
    (output / ".DS_Store").touch()
    check_pyramid_output(output, overwrite=earlier)
    make(output, check=lambda: check_pyramid_output(output, overwrite=earlier))
    assert os.listdir(output) == ["out-r02.tfrecords"]


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
    abandoned, busy = tmp_path / ".out.partial-deadbeef", tmp_path / ".out.partial-alive_00"
    other, theirs = tmp_path / ".other.partial-download", tmp_path / ".out.partial-notes"
    for path in (abandoned, busy, other, theirs):
        path.mkdir()
        (path / "file").write_text("")
    code = (
        "import fcntl, os, sys, time; d = os.open(sys.argv[1], os.O_RDONLY);"
        " fcntl.flock(d, fcntl.LOCK_EX); print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(busy)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        make(tmp_path / "out")
        process.kill()
    assert sorted(os.listdir(tmp_path)) == sorted([other.name, busy.name, theirs.name, "out"])


def test_without_locks_a_directory_is_written_and_others_are_left_alone(tmp_path, no_locks):
    perhaps_busy = tmp_path / ".out.partial-deadbeef"
    perhaps_busy.mkdir()
    make(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [perhaps_busy.name, "out"]


def test_a_directory_being_written_is_locked(tmp_path):
    with staged_directory(tmp_path / "out") as staging:
        descriptor = os.open(staging, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


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


def test_what_others_wrote_meanwhile_is_kept(tmp_path):
    output = tmp_path / "out"
    with (
        pytest.raises(UserError, match="out: another program has written to it meanwhile"),
        staged_directory(output) as staging,
    ):
        (staging / "new").touch()
        output.mkdir()
        (output / "thesis.tex").touch()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(output) == ["thesis.tex"]


def test_overwrite_looks_again_before_it_replaces(tmp_path):
    output = tmp_path / "out"
    make(output, "old")
    with (
        pytest.raises(UserError, match=r"files that are not part of a pyramid.*thesis\.tex"),
        staged_directory(output, check=lambda: check_pyramid_output(output, True)) as staging,
    ):
        (staging / "new").touch()
        (output / "thesis.tex").touch()
    assert os.listdir(tmp_path) == ["out"]
    assert sorted(os.listdir(output)) == ["out-r02.tfrecords", "thesis.tex"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_what_is_written_between_the_last_look_and_the_exchange_is_put_back(
    tmp_path, monkeypatch, can_exchange
):
    if not can_exchange:
        monkeypatch.setattr("tfrecords_tools.files.directories.exchange", lambda *_: False)
    output = tmp_path / "out"
    make(output, "old")
    with pytest.raises(UserError, match="another program has written to it meanwhile"):
        make(output, check=(output / "thesis.tex").touch)
    assert sorted(os.listdir(output)) == ["out-r02.tfrecords", "thesis.tex"]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_replacement_killed_at_any_step_loses_neither_the_old_nor_the_new(tmp_path, can_exchange):
    code = (
        "import os, sys, pathlib, shutil\n"
        "from tfrecords_tools.files import directories\n"
        "step, output = int(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
        "if not int(sys.argv[3]): directories.exchange = lambda *_: False\n"
        "def dies(function):\n"
        "    def call(*arguments, **options):\n"
        "        global step\n"
        "        step -= 1\n"
        "        if step < 0: os._exit(9)\n"
        "        return function(*arguments, **options)\n"
        "    return call\n"
        "for owner, name in ((pathlib.Path, 'rename'), (directories, 'exchange'),\n"
        "                    (directories, 'sync'), (shutil, 'rmtree')):\n"
        "    setattr(owner, name, dies(getattr(owner, name)))\n"
        "with directories.staged_directory(output, check=lambda: None) as staging:\n"
        "    (staging / 'out-r02.tfrecords').write_text('new')\n"
    )
    output = tmp_path / "out"
    for step in range(20):
        make(output, "old")
        arguments = [str(step), str(output), str(int(can_exchange))]
        ended = subprocess.run([sys.executable, "-c", code, *arguments], check=False).returncode
        settle_output(output)  # as the next start does
        found = (output / "out-r02.tfrecords").read_text()
        assert found in ("old", "new")
        make(output)
        assert os.listdir(tmp_path) == ["out"]
        if ended == 0:
            assert found == "new" and step > 3
            return
    pytest.fail("never ended")


def test_a_link_is_no_output(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name, target in (("out", "elsewhere"), ("dangling", "nothing")):
        (tmp_path / name).symlink_to(target)
        message = f"{name}: is a symbolic link.*Received: a link to {target}"
        with pytest.raises(UserError, match=message):
            check_pyramid_output(tmp_path / name, overwrite=True)
        with pytest.raises(UserError, match=message):
            make(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["dangling", "elsewhere", "out"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_links_in_the_place_of_unfinished_directories_are_left_alone(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / JOURNAL_NAME).touch()
    link, replaced = tmp_path / ".out.partial-abcdefgh", tmp_path / ".out.01234567.replaced"
    for path in (link, replaced):
        path.symlink_to(elsewhere)
    with staged_directory(tmp_path / "out", lambda _: True) as staging:
        assert not staging.is_symlink()
        (staging / JOURNAL_NAME).touch()
    settle_output(tmp_path / "out")
    assert os.listdir(elsewhere) == [JOURNAL_NAME] and link.is_symlink() and replaced.is_symlink()


@pytest.mark.parametrize("name", [JOURNAL_NAME, "out-r02.tfrecords"])
def test_an_unfinished_directory_that_holds_a_link_is_not_continued(tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_text("dear")
    unfinished = tmp_path / ".out.partial-abcdefgh"
    unfinished.mkdir()
    (unfinished / JOURNAL_NAME).touch()
    (unfinished / name).unlink(missing_ok=True)
    (unfinished / name).symlink_to(precious)
    with (
        pytest.raises(UserError, match=r"abcdefgh, which an earlier run left, holds links"),
        staged_directory(tmp_path / "out", lambda _: True),
    ):
        pytest.fail("begun")
    assert precious.read_text() == "dear"


def test_a_finished_directory_is_continued_until_it_has_its_name(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("tfrecords_tools.files.directories.rename_to_new", fail)
        with (
            pytest.raises(OSError, match="Input/output"),
            staged_directory(output, lambda _: True) as staging,
        ):
            (staging / JOURNAL_NAME).touch()
            (staging / "all").touch()
    with staged_directory(output, lambda _: True) as staging:
        assert (staging / "all").exists()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(output) == ["all"]


def test_a_directory_is_filled_by_one_process_at_a_time(tmp_path):
    output = tmp_path / "a" / "out"
    with filled_directory(output):
        (output / "file").touch()
        with (
            pytest.raises(UserError, match="out: another process is writing to it"),
            filled_directory(output),
        ):
            pytest.fail("begun")
    with filled_directory(output):
        assert os.listdir(output) == ["file"]


@pytest.mark.parametrize("there", [False, True])
def test_a_directory_that_is_not_filled_is_unmade_if_it_is_new(tmp_path, there):
    if there:
        (tmp_path / "a").mkdir()
    with pytest.raises(KeyboardInterrupt), filled_directory(tmp_path / "a" / "out"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == (["a"] if there else [])


def test_a_directory_that_can_not_be_filled_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refused = pytest.raises(UserError, match="file/out: can't be written: Not a directory")
    with refused, filled_directory(tmp_path / "file" / "out"):
        pytest.fail("begun")
