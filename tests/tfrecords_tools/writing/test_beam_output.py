"""Pyramids written by an Apache Beam pipeline: the same bytes."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers.writing import contents
from tfrecords_tools.cli.prepare import main
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

SHAPES = ("--source=synthetic", "--num_images=23", "--resolution=8", "--labels=classes")


def error_of(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_without_beam_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert main([*SHAPES, "--output=out", "--runner=beam"]) == 2
    assert "pip install 'pgan_tf[beam]'" in error_of(capsys)
    assert os.listdir(tmp_path) == []


def test_options_of_a_pipeline_need_a_pipeline(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*SHAPES, "--output=out", "--beam_options=--x=1"]) == 2
    assert "--beam_options needs --runner=beam. Received: --x=1" in error_of(capsys)


@pytest.fixture
def beam(tmp_path, monkeypatch):
    """Function that runs the command on Beam with the flags it is given."""
    pytest.importorskip("apache_beam")
    monkeypatch.chdir(tmp_path)
    return lambda *flags: main([*flags, "--runner=beam"])


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("options", ["", "--beam_options=--runner=BundleBasedDirectRunner"])
def test_beam_writes_the_same_bytes(beam, tmp_path, encoding, shards, options):
    flags = [*SHAPES, f"--encoding={encoding}", f"--shards={shards}"]
    assert main([*flags, "--output=local/x", "--num_workers=1"]) == 0
    assert beam(*flags, "--output=beam/x", *filter(None, [options])) == 0
    assert contents(tmp_path / "local/x") == contents(tmp_path / "beam/x")
    assert os.listdir(tmp_path / "beam") == ["x"]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


PHOTOS = ("--source=images", "--input=photos", "--shards=3", "--noshuffle")


def damage(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    return whole


def test_a_bad_image_is_one_line_and_leaves_nothing(beam, photos, tmp_path, capsys):
    damage(photos / "05.png")
    assert beam(*PHOTOS, "--output=out/x") == 2
    assert "photos/05.png: is damaged" in error_of(capsys)
    assert os.listdir(tmp_path) == ["photos"]


def test_bad_images_are_skipped_if_asked(beam, photos, tmp_path):
    for number in (4, 5, 6, 7, 9):  # all of the second shard
        damage(photos / f"{number:02d}.png")
    flags = (*PHOTOS, "--skip_bad_images")
    assert main([*flags, "--output=local/x", "--num_workers=1"]) == 0
    assert beam(*flags, "--output=beam/x") == 0
    assert contents(tmp_path / "local/x") == contents(tmp_path / "beam/x")
    assert [file.count for file in open_pyramid("beam/x").level(4).files] == [4, 0, 3]


def test_finished_shards_are_not_written_again(beam, photos, tmp_path, capsys):
    assert main([*PHOTOS, "--output=local/x", "--num_workers=1"]) == 0
    whole = damage(photos / "09.png")
    assert beam(*PHOTOS, "--resume", "--output=out/x") == 2
    assert "8 of 12 images are done and kept" in capsys.readouterr().out
    (photos / "09.png").write_bytes(whole)
    (partial,) = (tmp_path / "out").iterdir()
    before = (partial / "x-r02.tfrecords-00000-of-00003").stat().st_ino
    assert beam(*PHOTOS, "--resume", "--output=out/x") == 0
    assert "Continuing: 8 of 12 images are done" in capsys.readouterr().out
    assert contents(tmp_path / "local/x") == contents(tmp_path / "out/x")
    assert (tmp_path / "out/x/x-r02.tfrecords-00000-of-00003").stat().st_ino == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--nonsense=1", "--beam_options: must be options of Apache Beam. Received: --nonsense"),
        ("--direct_num_workers=many", "invalid int value: 'many'"),
        ("--runner=Nonsense", "Unexpected pipeline runner: Nonsense"),
        ("'", "--beam_options: No closing quotation. Received: '"),
    ],
)
def test_options_that_beam_does_not_know_are_one_line(beam, tmp_path, capsys, options, expected):
    assert beam(*SHAPES, "--output=out", f"--beam_options={options}") == 2
    assert expected in error_of(capsys)
    assert os.listdir(tmp_path) == []
