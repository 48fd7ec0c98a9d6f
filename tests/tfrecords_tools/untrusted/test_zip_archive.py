import zipfile

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted import zip_archive
from tfrecords_tools.untrusted.zip_archive import open_keras_archive


def write(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_members_of_plausible_sizes_are_read(tmp_path):
    path = write(tmp_path / "x.keras", {"config.json": b"{}", "model.weights.h5": bytes(1 << 16)})
    with open_keras_archive(path) as archive:
        assert archive.read("config.json") == b"{}"


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_members_that_unpack_without_end_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(zip_archive, "_MAX_TEXT_BYTES", 1 << 16)
    monkeypatch.setattr(zip_archive, "_ALWAYS_ALLOWED_BYTES", 1 << 16)
    path = write(tmp_path / "x.keras", {name: bytes(1 << 20)})
    message = r"x\.keras: not a \.keras file, or damaged: .* unpack"
    with pytest.raises(UserError, match=message), open_keras_archive(path):
        pass


def test_damage_is_noticed_where_a_member_is_read(tmp_path):
    path = write(tmp_path / "x.keras", {"config.json": b'{"a": 1}' * 100})
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(data)
    message = r"x\.keras: not a \.keras file, or damaged"
    with pytest.raises(UserError, match=message), open_keras_archive(path) as archive:
        archive.read("config.json")


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + bytes(18)[:10]])
def test_other_files_are_refused(tmp_path, data):
    (tmp_path / "x.keras").write_bytes(data)
    message = r"x\.keras: not a \.keras file"
    with pytest.raises(UserError, match=message), open_keras_archive(tmp_path / "x.keras"):
        pass
