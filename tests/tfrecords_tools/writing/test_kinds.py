"""Pyramids of every shape, number of channels and bits, in every storage."""

import json

import numpy as np
import pytest

from tests.helpers.writing import contents
from tfrecords_tools.cli.prepare import main
from tfrecords_tools.format import MANIFEST_NAME, open_pyramid
from tfrecords_tools.inspection.verification import verify
from tfrecords_tools.shape import SQUARE, Base
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing import conversion
from tfrecords_tools.writing.levels import make_levels
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

STORAGE = [("raw", 1), ("raw", 3), ("png", 1), ("png", 3)]
KINDS = [
    (SQUARE, 1, 8),
    (SQUARE, 2, 8),
    (SQUARE, 4, 8),
    (SQUARE, 1, 16),
    (Base(4, 6), 3, 8),
    (Base(4, 6), 4, 8),
    (Base(9, 5), 2, 8),
    (Base(6, 4), 1, 16),
]


def source_of(kind, count=10):
    base, channels, bits = kind
    return SyntheticSource(count, 16, base=base, channels=channels, bits=bits)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
def test_every_storage_holds_the_same_images(write, kind, encoding, shards):
    base, channels, bits = kind
    source = source_of(kind)
    directory = write(source, encoding=encoding, shards=shards)
    pyramid = open_pyramid(directory)
    assert (pyramid.base, pyramid.channels, pyramid.bits) == kind
    images = np.stack([source.load(index) for index in range(10)])
    for level, expected in zip(reversed(pyramid.levels), make_levels(images), strict=True):
        assert level.shape == (channels, *base.size_at(level.resolution))
        read = level.read(np.arange(10))
        assert read.dtype == np.dtype("uint8" if bits == 8 else "uint16")
        np.testing.assert_array_equal(read, expected)
    manifest = json.loads((directory / MANIFEST_NAME).read_text())
    assert manifest.get("base") == (None if base.is_square else list(base))
    assert manifest.get("bits") == (None if bits == 8 else 16)
    assert verify(directory, 1) == []
    (directory / MANIFEST_NAME).unlink()
    without = open_pyramid(directory)
    assert (without.base, without.channels, without.bits) == kind
    assert verify(directory, 1) == []


@pytest.mark.parametrize("kind", KINDS[-3:], ids=str)
@pytest.mark.parametrize(("encoding", "shards"), STORAGE[1::2])
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, kind, encoding, shards):
    monkeypatch.setattr(conversion, "_CHUNK_IMAGES", 2)
    options = WriteOptions(shuffle=False, encoding=encoding, shards=shards, resume=True)
    said = []

    def run(source, name):
        write_pyramid(source, tmp_path / name / "x", options, {}, said.append)
        return contents(tmp_path / name / "x")

    load = SyntheticSource.load
    whole = run(source_of(kind), "whole")
    loaded = []

    def stop(self, index):
        if index == 7:
            raise KeyboardInterrupt
        loaded.append(index)
        return load(self, index)

    monkeypatch.setattr(SyntheticSource, "load", stop)
    with pytest.raises(KeyboardInterrupt):
        run(source_of(kind), "out")
    stopped = len(loaded)
    assert stopped > 4

    def count(self, index):
        loaded.append(index)
        return load(self, index)

    monkeypatch.setattr(SyntheticSource, "load", count)
    assert run(source_of(kind), "out") == whole
    assert len(loaded) - stopped < 10


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("flags", [("--channels=rgba",), ("--bits=16",)])
def test_beam_writes_the_same_bytes(tmp_path, monkeypatch, encoding, flags):
    pytest.importorskip("apache_beam")
    monkeypatch.chdir(tmp_path)
    command = ["--source=synthetic", "--num_images=9", "--resolution=24x16", *flags]
    command += [f"--encoding={encoding}", "--shards=2"]
    assert main([*command, "--output=local/x", "--num_workers=1"]) == 0
    assert main([*command, "--output=beam/x", "--runner=beam"]) == 0
    assert contents(tmp_path / "local/x") == contents(tmp_path / "beam/x")
