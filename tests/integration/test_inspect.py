"""pgan-inspect-tfrecords, as people run it."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers.golden import GOLDEN
from tfrecords_tools.cli.inspect import main
from tfrecords_tools.cli.prepare import main as prepare
from tfrecords_tools.format import open_pyramid


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A pyramid of 12 shapes, in png and two shards."""
    output = tmp_path_factory.mktemp("shapes") / "shapes"
    flags = ["--source=synthetic", "--num_images=12", "--resolution=16", "--labels=classes"]
    storage = ["--encoding=png", "--shards=2", "--num_workers=1"]
    assert prepare([*flags, *storage, f"--output={output}"]) == 0
    return output


@pytest.fixture
def inspect(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in `tmp_path`: exit code, stdout, error line."""
    monkeypatch.chdir(tmp_path)

    def inspect(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        errors = [line for line in err.splitlines() if "error:" in line]
        assert len(errors) == (code == 2)
        return code, out, "".join(errors)

    return inspect


def test_info_describes_and_draws_a_pyramid(inspect, shapes):
    code, out, _ = inspect("info", shapes)
    assert code == 0
    for words in ("images    12, 16x16 RGB", "stored    png, 2 file(s) a level"):
        assert words in out
    for words in ('"kind": "synthetic"', "5 classes, one-hot", "circle", "Preview: shapes-preview"):
        assert words in out
    counts = open_pyramid(shapes).labels.sum(axis=0).astype(int)
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines if line and line[0] == "star"] == [str(counts[3])]
    on_disk = sum(path.stat().st_size for path in shapes.glob("*.tfrecords*"))
    assert any(line[:3] == ["all", "levels", str(on_disk)] for line in lines)
    with Image.open("shapes-preview.png") as preview:
        assert preview.mode == "RGB" and preview.width > 400
    assert os.listdir() == ["shapes-preview.png"]


def test_info_writes_to_the_given_file(inspect, shapes):
    assert inspect("info", shapes, "--output=a/b.png")[0] == 0
    assert inspect("info", shapes, "--output=")[0] == 0
    assert os.listdir() == ["a"] and os.listdir("a") == ["b.png"]


def test_info_reads_the_originals_pyramids(inspect, golden_pyramid):
    code, out, _ = inspect("info", golden_pyramid, "--output=")
    assert code == 0 and "manifest  none" in out and "4 classes" in out


@pytest.fixture
def golden_pyramid():

    return GOLDEN / "original_pyramid"


def test_verify_distinguishes_intact_from_damaged(inspect, shapes, tmp_path):
    code, out, _ = inspect("verify", shapes)
    assert code == 0 and f"OK: {shapes}: 12 images at 3 levels" in out
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in shapes.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    path = copy / "shapes-r04.tfrecords-00001-of-00002"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    code, out, _ = inspect("verify", copy)
    assert code == 1
    assert f"{path}: record 5 (of 0..5) is damaged" in out
    assert f"{path}: damaged: its SHA-256 is not the one in manifest.json" in out
    assert f"DAMAGED: {copy}: 2 problem(s)" in out
    code, out, _ = inspect("verify", copy, "--max_listed=1")
    assert "... and 1 more" in out


def test_show_draws_the_images_asked_for(inspect, shapes):
    code, out, _ = inspect(
        "show", shapes, "--images=3,5-6", "--columns=3", "--resolution=8", "--nocaptions"
    )
    assert code == 0 and "3 images of 8x8: shapes-sheet.png" in out
    images = open_pyramid(shapes).level(8).read(np.array([3, 5, 6]))
    with Image.open("shapes-sheet.png") as sheet:
        tiles = [np.asarray(sheet)[2:66:8, left : left + 64 : 8] for left in (2, 68, 134)]
    np.testing.assert_array_equal(np.stack(tiles), images.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("workers", [1, 2])
def test_extract_gives_the_images_back(inspect, shapes, workers, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.inspection.chunks.CHUNK_IMAGES", 1)
    assert inspect("extract", shapes, "--output=out", f"--num_workers={workers}")[0] == 0
    pyramid = open_pyramid(shapes)
    images = pyramid.level(16).read(np.arange(12))
    for index, image in enumerate(images):
        with Image.open(f"out/{index:06d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture).transpose(2, 0, 1), image)
    with open("out/labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{index:06d}.png" for index in range(12)]
    classes = [pyramid.label_names[column] for column in pyramid.labels.argmax(axis=1)]
    assert [row["class"] for row in rows] == classes
    assert all(row[row["class"]] == "1" for row in rows)
    assert os.listdir() == ["out"]


def test_extracted_folders_make_the_same_pyramid_again(inspect, shapes):
    assert inspect("extract", shapes, "--output=out", "--labels=folders")[0] == 0
    flags = ["--source=images", "--input=out", "--labels=folders", "--noshuffle"]
    assert prepare([*flags, "--output=again", "--num_workers=1"]) == 0
    before, after = open_pyramid(shapes), open_pyramid("again")
    classes = before.labels.argmax(axis=1)
    order = np.argsort(classes, kind="stable")
    np.testing.assert_array_equal(after.level(4).read(np.arange(12)), before.level(4).read(order))
    names = [after.label_names[column] for column in after.labels.argmax(axis=1)]
    assert names == [before.label_names[column] for column in classes[order]]


def test_names_that_terminals_would_obey_are_read_back_but_not_shown(
    inspect, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = ("a\x1b[31mb", "c\x9b\u202ed", "e f")
    for name in names:
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "in" / name / "x\x7f.png")
    flags = ["--source=images", "--input=in", "--labels=folders", "--output=data"]
    assert prepare([*flags, "--num_workers=1"]) == 0
    manifest = (tmp_path / "data/manifest.json").read_text()
    assert all(line.isprintable() for line in manifest.splitlines())
    assert open_pyramid("data").label_names == names
    assert inspect("verify", "data")[0] == 0
    assert inspect("extract", "data", "--output=out", "--labels=csv")[0] == 0
    text = (tmp_path / "out/labels.csv").read_text()
    assert all(line.isprintable() for line in text.splitlines())
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["class"] for row in rows} == {"a\\x1b[31mb", "c\\x9b\\u202ed", "e f"}
    assert all(row[row["class"]] == "1" for row in rows)


def test_names_of_classes_cannot_leave_the_folder(inspect, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = "--label_names=../up,/etc/x,..,,circle"
    flags = ["--source=synthetic", "--num_images=12", "--resolution=4", "--labels=classes"]
    assert prepare([*flags, "--output=x", "--num_workers=1"]) == 0
    text = (tmp_path / "x/manifest.json").read_text()
    (tmp_path / "x/manifest.json").write_text(
        text.replace('"circle",\n    "ring",\n    "square",\n    "star",\n    "triangle"',
                     ",".join(f'"{name}"' for name in names.split("=")[1].split(",")))
        .replace('"checksum"', '"no"')
    )  # fmt: skip
    assert inspect("extract", "x", "--output=out", "--labels=folders")[0] == 0
    assert sorted(os.listdir()) == ["out", "x"]
    assert all((tmp_path / "out" / name).is_dir() for name in os.listdir("out"))
    assert len([name for _, _, files in os.walk("out") for name in files]) == 12


def test_compare_distinguishes_equal_from_different(inspect, shapes):
    flags = ["--source=synthetic", "--resolution=16", "--labels=classes", "--num_workers=1"]
    assert prepare([*flags, "--num_images=12", "--output=raw"]) == 0
    code, out, _ = inspect("compare", shapes, "raw")
    assert code == 0 and out.count("all 12 images are equal") == 3
    assert prepare([*flags, "--num_images=10", "--output=fewer"]) == 0
    code, out, _ = inspect("compare", shapes, "fewer")
    assert code == 1 and "differ in count: 12 and 10" in out
    assert out.count("all 10 images are equal") == 3
    assert prepare([*flags, "--num_images=12", "--seed=1", "--output=other"]) == 0
    code, out, _ = inspect("compare", shapes, "other", "--output=difference.png")
    assert code == 1 and "16x16: 12 of 12 images differ, by up to " in out
    assert "differ in labels: " in out
    with Image.open("difference.png") as picture:
        assert picture.width == 2 + 3 * 66 and picture.height == 2 + 12 * 80


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "the first argument must be info or verify or show or extract or compare"),
        (("look", "x"), "Received: look"),
        (("info",), "must be given DIRECTORY, and flags as --flag=value. Received: nothing"),
        (("info", "nowhere", "b"), "must be given DIRECTORY"),
        (("info", "nowhere"), "nowhere: no such directory"),
        (("verify", "nowhere"), "nowhere: no such directory"),
        (("compare", "shapes"), "must be given DIRECTORY OTHER_DIRECTORY"),
        (("info", "shapes", "--colour=1"), "Unknown command line flag 'colour'"),
        (("info", "shapes", "--output=x.jpg"), "--output must name a .png file. Received: x.jpg"),
        (("show", "shapes", "--resolution=32"), "must be one of 4, 8, 16. Received: 32"),
        (("show", "shapes", "--images=99"), "--images must be within 0-11"),
        (("extract", "shapes"), "--output is required"),
        (("extract", "shapes", "--output=taken"), "taken: exists already; choose a new folder"),
        (("compare", "shapes", "shapes", "--resolution=2"), "one that both have: 4, 8, 16"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(inspect, shapes, arguments, expected):
    os.makedirs("taken/with/something")
    arguments = [shapes if argument == "shapes" else argument for argument in arguments]
    code, _, error = inspect(*arguments)
    assert code == 2 and expected in error
    assert os.listdir() == ["taken"]


@pytest.mark.parametrize("arguments", [("--help",), ("info", "--help"), ("compare", "--help")])
def test_help_needs_no_pyramid(inspect, arguments):
    code, out, _ = inspect(*arguments)
    assert code == 0 and "pgan-inspect-tfrecords" in out
    assert ("--output" in out) == (len(arguments) == 2)


def test_a_closed_pipe_is_no_fault(shapes):
    command = [sys.executable, "-m", "tfrecords_tools.cli.inspect", "info", str(shapes)]
    with subprocess.Popen(
        [*command, "--output="], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141 and errors == b""


def test_the_command_starts_without_tensorflow():
    code = (
        "import sys, tfrecords_tools.cli.inspect;"
        "heavy = {'tensorflow', 'keras', 'pgan_tf', 'apache_beam'};"
        "sys.exit(any(name.split('.')[0] in heavy for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
