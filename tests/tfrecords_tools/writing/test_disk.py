"""The disk space that a pyramid needs."""

import os

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.writing import disk
from tfrecords_tools.writing.disk import readable_bytes
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid


def free(monkeypatch, size):
    class Usage:
        free = size

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage)


def test_the_disk_that_png_needs_is_a_bound_and_judged_by_a_sample_where_that_is_too_much(
    tmp_path, array_source, monkeypatch
):
    # Flat images: compressed they are a twentieth of the bound.
    images = np.repeat(np.arange(100, dtype=np.uint8), 3 * 64 * 64).reshape(100, 3, 64, 64)
    lines = []
    options = WriteOptions(encoding="png", num_workers=1)
    write_pyramid(array_source(images), tmp_path / "a", options, {}, lines.append)
    assert "at most 1.8 MB needed, " in lines[0]
    used = sum(path.stat().st_size for path in (tmp_path / "a").iterdir())
    assert used < 200_000
    free(monkeypatch, 1_500_000)
    write_pyramid(array_source(images), tmp_path / "b", options, {}, lines.append)
    assert ", about " in lines[1] and "judging by 16 of them, 1.5 MB free" in lines[1]
    free(monkeypatch, 1_000_000)
    with pytest.raises(UserError, match=r"not enough disk: at most .* about .* Received: 1.0 MB"):
        write_pyramid(array_source(images), tmp_path / "c", options, {}, lines.append)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_disk_too_small_is_refused_before_the_first_byte(
    write, tmp_path, array_source, random_images, monkeypatch
):
    class Usage:
        free = 2_000_000

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(
        UserError, match=r"not enough disk: 2\.0 MB needed\. Received: 2\.0 MB free in"
    ):
        write(array_source(random_images(120, 3, 64)))
    assert os.listdir(tmp_path) == []


def test_sizes_are_readable():
    sizes = [readable_bytes(size) for size in (0, 999, 1500, 2_000_000, 7 * 10**9, 3 * 10**15)]
    assert sizes == ["0 B", "999 B", "1.5 kB", "2.0 MB", "7.0 GB", "3000.0 TB"]
