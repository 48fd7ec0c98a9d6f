"""Renaming that replaces nothing, on file systems of several kinds."""

import ctypes
import errno
import os

import pytest

from tfrecords_tools.files import renaming


@pytest.fixture(params=["all", "no options", "no links"])
def file_system(request, monkeypatch):
    """One that renames with options, one that only links, one that does neither."""

    def refuse_options(*_):
        ctypes.set_errno(errno.EINVAL)
        return -1

    def refuse_links(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param != "all":
        monkeypatch.setattr(renaming, "_RENAME", refuse_options)
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse_links)


def make(path, kind):
    if kind == "file":
        path.write_text(path.name)
    elif kind == "link":
        path.symlink_to("nowhere")
    elif kind != "nothing":
        path.mkdir()
        if kind == "full":
            (path / path.name).touch()


@pytest.mark.parametrize("target", ["nothing", "file", "link", "empty", "full"])
@pytest.mark.parametrize("source", ["file", "full"])
@pytest.mark.usefixtures("file_system")
def test_nothing_is_replaced(tmp_path, source, target):
    make(tmp_path / "source", source)
    make(tmp_path / "target", target)
    is_free = target == "nothing" or (source, target) == ("full", "empty")
    assert renaming.rename_to_new(tmp_path / "source", tmp_path / "target") == is_free
    assert os.path.lexists(tmp_path / "source") != is_free
    found = tmp_path / "target"
    if is_free:
        assert found.read_text() == "source" if source == "file" else (found / "source").exists()
    else:
        assert found.is_symlink() == (target == "link")
        assert found.is_symlink() or (found.read_text() if target == "file" else found.is_dir())


def test_other_failures_are_raised(tmp_path):
    with pytest.raises(FileNotFoundError):
        renaming.rename_to_new(tmp_path / "missing", tmp_path / "target")


@pytest.mark.usefixtures("file_system")
def test_an_exchange_is_whole_or_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    is_exchanged = renaming.exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == ("b" if is_exchanged else "a")
    assert (tmp_path / "b").read_text() == ("a" if is_exchanged else "b")
