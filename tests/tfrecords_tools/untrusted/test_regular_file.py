import os
import socket

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted import regular_file
from tfrecords_tools.untrusted.regular_file import (
    open_regular,
    read_bytes,
    read_text,
    require_regular,
)


def test_a_regular_file_or_a_link_to_one_is_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"words")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"words"
        require_regular(tmp_path / name)


@pytest.fixture
def irregular(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield {
            "a pipe": tmp_path / "pipe",
            "a directory": tmp_path,
            "a device": "/dev/zero",
            "a socket": tmp_path / "socket",
        }


@pytest.mark.parametrize("kind", ["a pipe", "a directory", "a device", "a socket"])
def test_anything_else_is_refused_at_once(irregular, kind):
    for refuse in (open_regular, require_regular, lambda path: read_bytes(path, 10)):
        with pytest.raises(UserError, match=f": must be a file. Received: {kind}"):
            refuse(irregular[kind])


def test_a_link_that_leads_nowhere_is_a_missing_file(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    for refuse in (open_regular, require_regular, read_text):
        with pytest.raises(FileNotFoundError):
            refuse(tmp_path / "link")


def test_a_file_is_read_only_within_its_bound(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(UserError, match="file: must hold at most 4 bytes. Received: 5 bytes"):
        read_bytes(path, 4)
    monkeypatch.setattr(regular_file, "MAX_TEXT_BYTES", 4)
    with pytest.raises(UserError, match="at most 4 bytes"):
        read_text(path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(UserError, match="file: not a text file"):
        read_text(tmp_path / "file")
