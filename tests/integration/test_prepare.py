"""pgan-prepare-tfrecords, as people run it."""

import contextlib
import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.cli.prepare import main
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "tfrecords_tools.cli.prepare")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number in range(6):
        path = folder / ("cats" if number % 2 else "dogs") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (10 * number, 20, 30)).save(path)
    return folder


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Return a function that runs the command in an empty directory, to the output `out`."""
    monkeypatch.chdir(tmp_path)
    return lambda *flags: main([*flags, "--output=out", "--num_workers=1"])


def error_of(capsys):
    """The one line on stderr, the progress bar apart."""
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_folder_of_photos_becomes_a_pyramid(photos, prepare, capsys):
    assert prepare("--source=images", f"--input={photos}", "--labels=folders") == 0
    pyramid = open_pyramid("out")
    assert (pyramid.count, pyramid.channels, pyramid.resolution) == (6, 3, 16)
    assert pyramid.name == "out" and pyramid.label_names == ("cats", "dogs")
    # The original's order: RandomState(123) shuffles the sorted files.
    order = np.arange(6)
    np.random.RandomState(123).shuffle(order)
    files = sorted(photos.rglob("*.png"))
    reds = [int(files[index].stem) * 10 for index in order]
    assert pyramid.level(16).read(np.arange(6))[:, 0, 0, 0].tolist() == reds
    classes = [files[index].parent.name for index in order]
    assert [pyramid.label_names[row.argmax()] for row in pyramid.labels] == classes
    out = capsys.readouterr().out
    assert "Resolution 16x16: the smallest image" in out
    assert "Wrote 6 images, 16x16 RGB, 2 classes: 7.2 kB in" in out
    assert "Images of each class: cats: 3, dogs: 3\n" in out
    assert "Train on it: pgan-train --flagfile=configs/" in out
    assert " --data_dir=out --run_dir=runs/out" in out


def test_an_idx_file_becomes_a_pyramid(prepare, tmp_path):
    pixels = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
    head = struct.pack(">IIII", 0x803, 3, 28, 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 3) + b"\0\1\2")
    flags = ("--source=idx", f"--input={tmp_path}", "--noshuffle", "--label_names=a,b,c")
    assert prepare(*flags) == 0
    pyramid = open_pyramid("out")
    assert (pyramid.channels, pyramid.label_names) == (1, ("a", "b", "c"))
    images = pyramid.level(32).read(np.arange(3))
    np.testing.assert_array_equal(images[:, 0, 2:-2, 2:-2], pixels)
    assert images[:, 0, :2].sum() == 0


def test_shapes_need_no_input(prepare):
    assert (
        prepare("--source=synthetic", "--num_images=5", "--resolution=8", "--labels=classes") == 0
    )
    pyramid = open_pyramid("out")
    assert (pyramid.count, pyramid.label_size) == (5, 5)
    assert pyramid.manifest["flags"] == {
        "encoding": "raw",
        "labels": "classes",
        "num_images": 5,
        "resolution": "8",
        "seed": 0,
        "shards": 1,
        "source": "synthetic",
    }


def test_a_flagfile_holds_flags(prepare, tmp_path):
    (tmp_path / "shapes.flags").write_text("--source=synthetic\n--num_images=3\n--resolution=4\n")
    assert prepare("--flagfile=shapes.flags") == 0
    assert open_pyramid("out").count == 3


def test_a_corrupt_file_ends_the_run_with_its_name(photos, prepare, capsys, tmp_path):
    whole = (photos / "cats/1.png").read_bytes()
    (photos / "cats/1.png").write_bytes(whole[:60])
    assert prepare("--source=images", f"--input={photos}") == 2
    assert f"{photos}/cats/1.png: is damaged" in error_of(capsys)
    assert os.listdir(tmp_path) == ["photos"]


def test_corrupt_files_are_skipped_and_listed_if_asked(photos, prepare, capsys):
    whole = (photos / "cats/1.png").read_bytes()
    (photos / "cats/1.png").write_bytes(whole[:60])
    (photos / "dogs/2.png").write_bytes(b"")
    assert prepare("--source=images", f"--input={photos}", "--skip_bad_images") == 0
    out = capsys.readouterr().out
    assert f"Skipped {photos}/cats/1.png: is damaged" in out
    assert f"Skipped {photos}/dogs/2.png: is not an image" in out
    assert "Wrote 4 images, 16x16 RGB, no labels, 2 bad images skipped" in out
    skipped = open_pyramid("out").manifest["skipped"]
    assert {entry["file"] for entry in skipped} == {f"{photos}/cats/1.png", f"{photos}/dogs/2.png"}
    assert open_pyramid("out").count == 4


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "--source is required"),
        (("--source=nonsense",), "nonsense"),
        (("--source=images",), "--input is required for --source=images"),
        (("--source=images", "--input=nowhere"), "--input=nowhere: no such folder"),
        (("--source=images", "--input=empty"), "--input=empty: no images"),
        (("--source=idx", "--input=empty"), "--input=empty: no MNIST files"),
        (("--source=synthetic", "--input=empty"), "--input has no meaning for --source=synthetic"),
        (("--source=synthetic", "--crop=pad"), "--crop has no meaning for --source=synthetic"),
        (("--source=synthetic", "--noshuffle"), "--shuffle has no meaning for --source=synthetic"),
        (("--source=idx", "--input=empty", "--resolution=32"), "--resolution has no meaning"),
        (("--source=idx", "--input=empty", "--labels=folders"), "auto or none or classes for"),
        (("--source=images", "--input=empty", "--seed=1"), "--seed has no meaning"),
        (("--source=synthetic", "--resolution=100"), "nearest are 64 and 128. Received: 100"),
        (("--source=synthetic", "--resolution=2"), "the nearest are 4 and 8. Received: 2"),
        (("--source=synthetic", "--resolution=big"), "WIDTHxHEIGHT such as 384x256. Received: big"),
        (("--source=synthetic", "--num_images=0"), "--num_images"),
        (("--source=synthetic", "--sede=1"), "Unknown command line flag 'sede'"),
        (("--source=synthetic", "stray"), "arguments are given as --flag=value. Received: stray"),
        (
            ("--source=images", "--input=empty", "--background=nocolor"),
            "--background must be a color: a name, #rrggbb or rgb(r,g,b). Received: nocolor",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(prepare, tmp_path, capsys, flags, expected):
    (tmp_path / "empty").mkdir()
    assert prepare(*flags) == 2
    line = error_of(capsys)
    assert line.startswith("pgan-prepare-tfrecords: error: ") and expected in line
    assert os.listdir(tmp_path) == ["empty"]


@pytest.mark.parametrize("output", ["file/out", "file"])
def test_an_output_that_a_file_blocks_is_one_line(tmp_path, monkeypatch, capsys, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["--source=synthetic", "--num_images=2", f"--output={output}"]) == 2
    assert "file" in error_of(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "fixed").mkdir(mode=0o555)
    monkeypatch.chdir(tmp_path)
    assert main(["--source=synthetic", "--num_images=2", "--output=fixed/out"]) == 2
    assert "cannot write in" in error_of(capsys)


def test_an_existing_output_is_kept_unless_overwrite_is_given(prepare, capsys):
    flags = ("--source=synthetic", "--resolution=4")
    assert prepare(*flags, "--num_images=3") == 0
    assert prepare(*flags, "--num_images=4") == 2
    assert "out: exists already; --overwrite replaces it" in error_of(capsys)
    assert open_pyramid("out").count == 3
    assert prepare(*flags, "--num_images=4", "--overwrite") == 0
    assert open_pyramid("out").count == 4
    assert not [name for name in os.listdir() if name.startswith(".")]


def test_help_lists_the_flags(capsys):
    assert main(["--help=all"]) == 0
    out = capsys.readouterr().out
    for flag in (
        "--source=images|idx|mnist_rgb|",
        "--crop=center|pad|stretch|none",
        "--max_pixels",
    ):
        assert flag in out


LONG_RUN = ("--source=synthetic", "--resolution=256", "--num_images=5000", "--num_workers=2")


@pytest.fixture
def long_run(tmp_path):
    """A run that has begun to write, and takes long enough to be stopped."""
    with subprocess.Popen(
        [*COMMAND, *LONG_RUN, "--output=out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not any(written(path) for path in tmp_path.glob(".out.partial-*/*-r02.tfrecords")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        yield process
        process.kill()


def written(path):
    return path.stat().st_blocks > 0


def workers_of(process):
    """Processes of the run's session, the run itself included, that still live."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process may end meanwhile
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == process.pid and state != "Z":
                alive.append(stat.parent.name)
    return alive


def wait_until_gone(process):
    deadline = time.monotonic() + 15
    while workers_of(process):
        assert time.monotonic() < deadline, workers_of(process)
        time.sleep(0.05)


@pytest.mark.parametrize("everyone", [True, False], ids=["to all", "to the command"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_nothing(long_run, tmp_path, number, everyone):
    assert len(workers_of(long_run)) >= 3
    if everyone:  # as the terminal does on Ctrl-C
        os.killpg(long_run.pid, number)
    else:
        long_run.send_signal(number)
    _, errors = long_run.communicate(timeout=20)
    assert long_run.returncode == 130
    lines = [f"pgan-prepare-tfrecords: {word}" for word in ("stopping", "interrupted")]
    assert [line.split(";")[0] for line in errors.splitlines()] == lines
    wait_until_gone(long_run)
    assert os.listdir(tmp_path) == []


def test_a_second_ctrl_c_ends_at_once(long_run, tmp_path):
    os.killpg(long_run.pid, signal.SIGSTOP)  # so that both arrive together
    os.killpg(long_run.pid, signal.SIGINT)
    os.killpg(long_run.pid, signal.SIGCONT)
    time.sleep(0.02)
    os.killpg(long_run.pid, signal.SIGINT)
    _, errors = long_run.communicate(timeout=5)
    # By the signal itself, where it comes as the interpreter ends.
    assert long_run.returncode in (130, -signal.SIGINT) and "Traceback" not in errors
    assert errors.startswith("pgan-prepare-tfrecords: stopping; once more ends it at once\n")
    wait_until_gone(long_run)


def test_after_kill_9_no_process_and_after_the_next_run_no_file_is_left(long_run, tmp_path):
    long_run.kill()
    wait_until_gone(long_run)
    assert [name.startswith(".out.partial-") for name in os.listdir(tmp_path)] == [True]
    again = [*COMMAND, "--source=synthetic", "--resolution=8", "--num_images=9", "--output=out"]
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    assert os.listdir(tmp_path) == ["out"]
    assert open_pyramid(tmp_path / "out").count == 9


def test_the_command_starts_without_tensorflow():
    code = (
        "import sys, tfrecords_tools.cli.prepare, tfrecords_tools.format;"
        "heavy = {'tensorflow', 'keras', 'pgan_tf'};"
        "sys.exit(any(name.split('.')[0] in heavy for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_names_that_are_no_utf8_are_escaped_wherever_they_are_written(tmp_path, workers):
    photos = os.path.join(os.fsencode(tmp_path), b"photos\xe9\x1b[2J")
    for number in range(4):
        folder = os.path.join(photos, [b"caf\xe9", b"\x1b[31mred"][number % 2])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, b"%d.png" % number), "wb") as file:
            Image.new("RGB", (16, 16)).save(file, "PNG")
    with open(os.path.join(photos, b"caf\xe9", b"bad\xff\x1b[1m.png"), "wb") as file:
        file.write(b"no image")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    flags = ["--source=images", "--labels=folders", "--skip_bad_images", "--output=out"]

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)

    ended = run(*COMMAND, *flags, b"--input=" + photos, f"--num_workers={workers}")
    assert ended.returncode == 0, ended.stderr
    assert b"caf\\xe9/bad\\xff\\x1b[1m.png: is not an image" in ended.stdout
    assert b"\x1b" not in ended.stdout + ended.stderr
    pyramid = open_pyramid(tmp_path / "out")
    assert pyramid.label_names == ("\x1b[31mred", "caf\\xe9")
    assert pyramid.manifest["skipped"][0]["file"].endswith(
        "photos\\xe9\x1b[2J/caf\\xe9/bad\\xff\x1b[1m.png"
    )
    inspect = (sys.executable, "-m", "tfrecords_tools.cli.inspect")
    for command in ("info", "verify"):
        ended = run(*inspect, command, "out")
        assert ended.returncode == 0 and b"\x1b" not in ended.stdout + ended.stderr
    assert b"\\x1b[31mred" in run(*inspect, "info", "out").stdout


def test_errors_name_such_files_too(photos, prepare, capsys):
    (photos / "\x1b[31m\u202e.png").write_text("no image")
    assert prepare("--source=images", f"--input={photos}") == 2
    assert "/\\x1b[31m\\u202e.png: is not an image" in error_of(capsys)


def test_two_preparations_of_one_output_do_not_both_succeed(photos, tmp_path):
    flags = ["--source=images", f"--input={photos}", "--output=out"]
    both = [
        subprocess.Popen([*COMMAND, *flags], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    assert any("error: --output" in error for error in errors)
    assert sorted(os.listdir(tmp_path)) == ["out", "photos"]


@pytest.mark.parametrize("target", ["elsewhere", "nothing"])
def test_a_link_as_output_is_refused_in_one_line(photos, prepare, capsys, tmp_path, target):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(target)
    assert prepare("--source=images", f"--input={photos}", "--overwrite") == 2
    assert "out: is a symbolic link" in error_of(capsys)
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "out", "photos"]


def test_manifests_name_newer_flags_only_if_they_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def manifest(*flags):
        command = ["--source=synthetic", "--num_images=2", "--output=x", "--overwrite", *flags]
        assert main([*command, "--resolution=4", "--num_workers=1"]) == 0
        return json.loads((tmp_path / "x" / "manifest.json").read_text())

    names = {"encoding", "labels", "num_images", "resolution", "seed", "shards", "source"}
    assert manifest()["flags"].keys() == names
    deep = manifest("--bits=16", "--channels=gray")
    assert deep["flags"].keys() == names | {"bits", "channels"} and deep["bits"] == 16
