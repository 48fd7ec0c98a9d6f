"""Random access to gzip files."""

import gzip

import numpy as np
import pytest

from tfrecords_tools.image_files.gzip_access import GzipAccess


@pytest.mark.parametrize("members", [1, 3])
def test_gzip_is_read_at_any_offset(tmp_path, monkeypatch, members):
    monkeypatch.setattr("tfrecords_tools.image_files.gzip_access._MIN_SPACING", 50_000)
    random = np.random.default_rng(0)
    data = (random.integers(0, 4, 900_000, np.uint8) * (np.arange(900_000) % 7 < 5)).tobytes()
    third = len(data) // members
    parts = [data[start : start + third] for start in range(0, len(data), third)]
    path = tmp_path / "x.gz"
    path.write_bytes(b"".join(gzip.compress(part, 1) for part in parts) + bytes(512))
    access = GzipAccess(path, len(data))
    for offset in (*random.integers(0, len(data), 60), 0, len(data) - 5):
        size = int(random.integers(0, 100_000))
        assert access.read(int(offset), size) == data[offset : offset + size]
    assert access.read(len(data), 10) == b""
    access.close()
