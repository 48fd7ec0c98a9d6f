"""Interrupted runs that are continued."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers.writing import contents
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import JOURNAL_NAME
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.writing import conversion, raw_output
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

pytestmark = pytest.mark.slow

COUNT = 40
STORAGE = [("raw", 1), ("raw", 3), ("png", 1), ("png", 3)]


class Watched:
    """A source that records loaded images, raises `stop` at one image, and has bad images."""

    def __init__(self, source, stop_at=None, stop=KeyboardInterrupt, bad=()):
        self.source, self.stop_at, self.stop, self.bad = source, stop_at, stop, frozenset(bad)
        self.loaded = []

    def __getattr__(self, name):
        return getattr(self.source, name)

    def load(self, index):
        if index == self.stop_at:
            raise self.stop
        self.loaded.append(index)
        if index in self.bad:
            raise BadImageError(f"{index}.png", "is damaged")
        return self.source.load(index)


@pytest.fixture
def source(array_source, random_images, monkeypatch):
    monkeypatch.setattr(conversion, "_CHUNK_IMAGES", 3)
    images = random_images(COUNT, 3, 8)
    return array_source(images, np.eye(COUNT, dtype=np.float32), shuffled=False)


@pytest.fixture
def said():
    return []


@pytest.fixture
def run(tmp_path, said):
    def run(source, name="out", resume=True, **options):
        options = WriteOptions(shuffle=False, resume=resume, **options)
        write_pyramid(source, tmp_path / name / "x", options, {}, said.append)
        return contents(tmp_path / name / "x")

    return run


def partial(tmp_path):
    (directory,) = (tmp_path / "out").iterdir()
    assert directory.name.startswith(".x.partial-")
    return directory


@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
@pytest.mark.parametrize("bad", [(), (0, 1, 2, 7, 30)])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_goes_on_where_it_stopped(
    run, source, tmp_path, said, encoding, shards, bad, stop
):
    options = {"encoding": encoding, "shards": shards, "skip_bad_images": True}
    whole = run(Watched(source, bad=bad), "whole", **options)
    with pytest.raises(stop):
        run(Watched(source, stop_at=25, stop=stop, bad=bad), **options)
    done = 24 if shards == 1 else 25
    assert f"{done} of 40 images are done and kept: --resume continues" in said
    assert not (tmp_path / "out/x").exists()
    with pytest.raises(stop):
        run(Watched(source, stop_at=36, stop=stop, bad=bad), **options)
    second = Watched(source, bad=bad)
    assert run(second, **options) == whole
    assert f"Continuing: {done} of 40 images are done" in said
    assert second.loaded == list(range(36 if shards == 1 else 35, 40))
    assert os.listdir(tmp_path / "out") == ["x"]


def test_without_resume_nothing_is_kept(run, source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25), resume=False)
    assert os.listdir(tmp_path) == []


def test_without_resume_what_is_left_is_begun_again(run, source, tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25))
    again = Watched(source)
    run(again, resume=False)
    assert len(again.loaded) == COUNT
    assert os.listdir(tmp_path / "out") == ["x"]
    assert "removed; an interrupted run left it, and --resume would have continued" in caplog.text


def test_another_output_beside_it_leaves_alone_what_can_be_continued(run, source, tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25))
    write_pyramid(source, tmp_path / "out" / "y", WriteOptions(), {}, lambda _: None)
    assert f"a part of {tmp_path}/out/x. The same command continues it" in caplog.text
    rest = Watched(source)
    run(rest)
    assert 0 < len(rest.loaded) < COUNT
    assert sorted(os.listdir(tmp_path / "out")) == ["x", "y"]


@pytest.mark.parametrize(
    "changes", [{"shards": 2}, {"encoding": "png"}, {"num_images": 39}, {"skip_bad_images": True}]
)
def test_what_was_begun_with_other_flags_is_not_continued(run, source, tmp_path, changes):
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25))
    kept = contents(partial(tmp_path))
    with pytest.raises(UserError, match=r"begun with other flags, .* leave out --resume"):
        run(source, **changes)
    assert contents(partial(tmp_path)) == kept


def test_what_was_begun_from_other_labels_is_not_continued(run, source, tmp_path, array_source):
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25))
    other = array_source(source.images, source.one_hot[::-1], shuffled=False)
    with pytest.raises(UserError, match="or from another input"):
        run(other)


@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
def test_a_damaged_chunk_is_written_again(run, source, tmp_path, encoding, shards):
    options = {"encoding": encoding, "shards": shards}
    whole = run(source, "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25), **options)
    path = sorted(partial(tmp_path).glob("x-r02.tfrecords*"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    again = Watched(source)
    assert run(again, **options) == whole
    assert 15 < len(again.loaded) < COUNT


@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
@pytest.mark.parametrize("lost", ["x-r03", "x-r02"])
def test_a_lost_file_is_written_again(run, source, tmp_path, encoding, shards, lost):
    options = {"encoding": encoding, "shards": shards}
    whole = run(source, "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25), **options)
    sorted(partial(tmp_path).glob(f"{lost}*"))[0].unlink()
    assert run(source, **options) == whole


@pytest.mark.parametrize(("encoding", "shards"), STORAGE)
@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_journal_cut_short_loses_no_more_than_its_last_chunks(
    run, source, tmp_path, encoding, shards, cut
):
    options = {"encoding": encoding, "shards": shards}
    whole = run(source, "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(Watched(source, stop_at=25), **options)
    path = partial(tmp_path) / JOURNAL_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    again = Watched(source)
    assert run(again, **options) == whole
    assert 15 < len(again.loaded) < 30


def test_records_moved_by_an_interrupted_end_are_not_taken_for_others(
    run, source, tmp_path, monkeypatch
):
    """Moved records are intact, but belong to another place."""
    flawed = Watched(source, bad=(4,))
    whole = run(flawed, "whole", skip_bad_images=True)
    move = raw_output._move
    moved = []

    def interrupted(*arguments):
        move(*arguments)
        moved.append(arguments)
        if len(moved) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(raw_output, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(flawed, skip_bad_images=True)
    monkeypatch.setattr(raw_output, "_move", move)
    assert run(flawed, skip_bad_images=True) == whole


def test_an_interruption_after_the_last_image_loses_nothing(run, source, tmp_path, monkeypatch):
    whole = run(source, "whole")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tfrecords_tools.writing.writer._describe_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(source)
    again = Watched(source)
    assert run(again) == whole and again.loaded == []


def test_a_finished_pyramid_is_not_continued(run, source):
    run(source)
    with pytest.raises(UserError, match="exists already"):
        run(source)


def test_resuming_what_was_never_begun_begins(run, source, tmp_path):
    run(source)
    assert open_pyramid(tmp_path / "out/x").count == COUNT


FLAGS = ("--source=synthetic", "--resolution=64", "--num_images=700", "--num_workers=2")


@pytest.mark.parametrize("storage", [("--encoding=raw",), ("--encoding=png", "--shards=2")])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, storage):
    command = [sys.executable, "-m", "tfrecords_tools.cli.prepare", *FLAGS, *storage]
    with subprocess.Popen(
        [*command, "--output=out/x"], cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while sum(map(lines_of, tmp_path.glob("out/.x.partial-*/*.jsonl"))) < 3:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.kill()
    assert [name.startswith(".x.partial-") for name in os.listdir(tmp_path / "out")] == [True]
    again = subprocess.run(
        [*command, "--output=out/x", "--resume"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "Continuing: " in again.stdout
    subprocess.run([*command, "--output=whole/x"], cwd=tmp_path, check=True, capture_output=True)
    assert os.listdir(tmp_path / "out") == ["x"]
    assert contents(tmp_path / "out/x") == contents(tmp_path / "whole/x")


def lines_of(path):
    return path.read_bytes().count(b"\n")
