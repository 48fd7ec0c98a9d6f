import contextlib
import dataclasses
import re
import shutil

import numpy as np
import pytest

from pgan_tf.runs.data_note import difference, note_lines
from pgan_tf.runs.run_directory import RunDirectory, format_duration, kimg_name, read_config
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.shape import SQUARE, Base


@dataclasses.dataclass
class FakePyramid:
    count: int = 24
    channels: int = 3
    label_size: int = 0
    label_names: tuple | None = None
    is_remote: bool = True
    sums: tuple = ("a", "b")
    base: Base = SQUARE
    bits: int = 8

    @property
    def manifest(self):
        return {"files": {str(n): {"sha256": value} for n, value in enumerate(self.sums)}}


PYRAMID = FakePyramid()


def as_read(config):
    """Drop what a flagfile does not hold: facts of the data, and the run's own path."""
    network = dataclasses.replace(config.network, channels=3, label_size=0)
    run = dataclasses.replace(config.run, run_dir="")
    return dataclasses.replace(config, network=network, run=run)


def test_a_new_run_keeps_its_configuration(tmp_path):
    config = tiny_config("data", tmp_path / "run")
    RunDirectory(tmp_path / "run").open(config, PYRAMID)
    assert read_config(tmp_path / "run") == as_read(config)


def test_an_empty_directory_is_a_new_run(tmp_path):
    RunDirectory(tmp_path).open(tiny_config("data", tmp_path), PYRAMID)
    assert (tmp_path / "config.flags").exists()


def test_a_run_can_be_continued_for_longer(tmp_path):
    config = tiny_config("data", tmp_path)
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        run.open(config, PYRAMID)
    longer = dataclasses.replace(config.schedule, total_kimg=9.0)
    RunDirectory(tmp_path).open(dataclasses.replace(config, schedule=longer), PYRAMID)
    assert read_config(tmp_path).schedule.total_kimg == 9.0


def test_a_run_made_with_other_flags_is_refused_and_left_as_it_was(tmp_path):
    config = tiny_config("data", tmp_path)
    RunDirectory(tmp_path).open(config, PYRAMID)
    other = dataclasses.replace(config, run=dataclasses.replace(config.run, seed=5))
    with pytest.raises(UserError, match=r"other flags: --seed=5 \(was 1\)"):
        RunDirectory(tmp_path).open(other, PYRAMID)
    assert read_config(tmp_path) == as_read(config)


@pytest.mark.parametrize(
    ("change", "received"),
    [({"count": 25}, "25 images"), ({"channels": 1}, "1 channel"), ({"label_size": 2}, "2 labels")],
)
def test_a_run_of_other_data_is_refused(tmp_path, change, received):
    config = tiny_config("data", tmp_path)
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        run.open(config, PYRAMID)
    with pytest.raises(UserError, match=f"other data, 24 images.* Received: .*{received}"):
        RunDirectory(tmp_path).open(config, FakePyramid(**change))


@pytest.mark.parametrize(
    ("change", "way"),
    [
        ({"count": 25}, "pgan-train --init_from={run} '--data_dir=my data' --run_dir={run}-2$"),
        ({"channels": 1}, "name a new --run_dir$"),
        ({"base": Base(6, 4)}, "name a new --run_dir$"),
        ({"label_size": 2}, "pgan-train --init_from={run} .* --run_dir={run}-2$"),
    ],
)
def test_the_refusal_of_other_data_names_a_way_that_works(tmp_path, change, way):
    config = tiny_config("my data", tmp_path / "run")
    with contextlib.closing(RunDirectory(tmp_path / "run")) as run:
        run.open(config, PYRAMID)
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "state-000007000.index").touch()
    with pytest.raises(UserError, match=way.format(run=tmp_path / "run")):
        RunDirectory(tmp_path / "run").open(config, FakePyramid(**change))


@pytest.mark.parametrize(
    ("change", "received"),
    [
        ({"sums": ("a", "c")}, "other data of the same size.* new --run_dir"),
        (
            {"label_names": ("dogs", "cats")},
            r'other class names, \["cats", "dogs"\]. Received: \["dogs',
        ),
        ({"label_names": None}, None),
        ({"sums": ("b", "a")}, None),
        ({"sums": ()}, None),
    ],
)
def test_a_run_knows_its_data_again(tmp_path, change, received):
    config = tiny_config("data", tmp_path)
    began = FakePyramid(label_names=("cats", "dogs"))
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        run.open(config, began)
    before = (tmp_path / "config.flags").read_text()
    now = dataclasses.replace(began, **change)
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        if received is None:
            run.open(config, now)
            return
        with pytest.raises(UserError, match=received):
            run.open(config, now)
    assert (tmp_path / "config.flags").read_text() == before


def test_a_run_of_an_earlier_version_without_a_digest_is_continued_and_then_has_one(tmp_path):
    config = tiny_config("data", tmp_path)
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        run.open(config, PYRAMID)
    file = tmp_path / "config.flags"
    new = file.read_text()
    assert "# Data digest: sums " in new
    file.write_text("\n".join(x for x in new.splitlines() if not x.startswith("# Data")) + "\n")
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        run.open(config, PYRAMID)
    assert file.read_text() == new


def test_a_pyramid_is_known_again_after_a_move_and_without_a_manifest(tmp_path):
    labels = np.eye(2)[np.arange(24) % 2]
    write_pyramid(tmp_path / "a", resolution=8, channels=3, labels=labels)
    shutil.copytree(tmp_path / "a", tmp_path / "moved" / "a")
    write_pyramid(tmp_path / "seed/a", resolution=8, channels=3, labels=labels, seed=5)
    write_pyramid(tmp_path / "labels/a", resolution=8, channels=3, labels=1 - labels)
    note = note_lines(open_pyramid(tmp_path / "a"))
    assert difference(note, open_pyramid(tmp_path / "moved/a")) is None
    for name in ("seed/a", "labels/a"):
        assert "of the same size" in difference(note, open_pyramid(tmp_path / name))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"base": Base(4, 6)}, {}, r"0 labels, base 6x4. Received: .*0 labels, base 4x4"),
        ({}, {"base": Base(6, 4)}, r"0 labels, base 4x4. Received: .*0 labels, base 4x6"),
        ({}, {"bits": 16}, r"0 labels. Received: .*0 labels, 16 bits"),
        ({"base": Base(4, 6)}, {"base": Base(4, 6), "sums": ("c",)}, "the digest"),
    ],
)
def test_data_of_another_shape_are_told_by_it(first, second, expected):
    said = difference(note_lines(FakePyramid(**first)), FakePyramid(**second))
    assert re.search(expected, said)


def test_fewer_kimg_than_are_done_are_refused_and_not_stored(tmp_path):
    config = tiny_config("data", tmp_path)

    def with_total(kimg):
        schedule = dataclasses.replace(config.schedule, total_kimg=kimg)
        return dataclasses.replace(config, schedule=schedule)

    def reopen(kimg):
        with contextlib.closing(RunDirectory(tmp_path)) as run:
            run.open(with_total(kimg), PYRAMID)

    reopen(9.0)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "state-7000.index").touch()
    with pytest.raises(UserError, match=r"--total_kimg must be at least 7, .* Received: 3"):
        reopen(3.0)
    assert read_config(tmp_path).schedule.total_kimg == 9.0
    reopen(7.0)


@pytest.mark.parametrize(
    "name",
    [
        *("checkpoints", "networks", "evaluation", "plugins", "metrics", "metrics.jsonl"),
        *("config.flags", "fakes-000001.png", "checkpoints/state-8_temp", "plugins/profile/x"),
    ],
)
@pytest.mark.parametrize("dangling", [True, False])
def test_links_in_the_place_of_a_runs_own_files_are_refused(tmp_path, name, dangling):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    config = tiny_config("data", run)
    with contextlib.closing(RunDirectory(run)) as directory:
        directory.open(config, PYRAMID)
    for folder in ("checkpoints", "networks"):
        if name != folder:
            (run / folder).mkdir(exist_ok=True)
    before = (run / "config.flags").read_bytes()
    elsewhere.mkdir()
    (elsewhere / "state-8.data-00000-of-00001").write_text("dear")
    if name == "config.flags":
        (run / name).rename(elsewhere / "config.flags")
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    if name == "networks":
        (run / name).rmdir()
    target = elsewhere / "config.flags" if name == "config.flags" else elsewhere
    (run / name).symlink_to(tmp_path / "nothing" if dangling and target == elsewhere else target)
    with pytest.raises(UserError, match=f"{name}: is a symbolic link"):
        RunDirectory(run).open(config, PYRAMID)
    assert (run / "config.flags").read_bytes() == before
    assert (elsewhere / "state-8.data-00000-of-00001").read_text() == "dear"


def test_links_of_the_users_own_may_lie_in_a_run_directory(tmp_path):
    config = tiny_config("data", tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    with contextlib.closing(RunDirectory(tmp_path / "link")) as directory:
        directory.open(config, PYRAMID)
    (tmp_path / "run" / "newest.png").symlink_to("fakes-000001.png")
    RunDirectory(tmp_path / "link").open(config, PYRAMID)


def test_a_run_that_another_process_writes_to_is_refused(tmp_path):
    config = tiny_config("data", tmp_path)
    first, second = RunDirectory(tmp_path), RunDirectory(tmp_path)
    first.open(config, PYRAMID)
    with pytest.raises(UserError, match="another pgan-train is writing to it"):
        second.open(config, PYRAMID)
    first.close()
    second.open(config, PYRAMID)


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    config = tiny_config("data", tmp_path)
    with contextlib.closing(RunDirectory(tmp_path)) as run:
        run.open(config, PYRAMID)
    leftovers = [
        ".fakes-000001.png.123.partial",
        ".metrics.0a1b2c3d.partial.jsonl",
        ".config.0a1b2c3d.partial.flags",
        "networks/.generator-000001.123.partial.keras",
        "checkpoints/state-100_temp/part-00000-of-00001.data-00000-of-00001",
    ]
    kept = [
        *("fakes-000001.png", "networks/generator-000001.keras", "checkpoints/state-100.index"),
        *("checkpoints/my_temperatures.csv", "checkpoints/state-9_temp/thesis.tex"),
        *("checkpoints/other.data-00000-of-00001", ".metrics.partial"),
    ]
    for name in leftovers + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "checkpoints/notes_temp").mkdir()
    RunDirectory(tmp_path).open(config, PYRAMID)
    assert (tmp_path / "checkpoints/notes_temp").exists()
    assert not (tmp_path / "checkpoints/state-100_temp").exists()
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"config.flags", *kept}


def test_a_run_that_was_killed_before_its_first_file_can_be_started_again(tmp_path):
    for name in (".config.flags.12.partial", ".config.0a1b2c3d.partial.flags"):
        (tmp_path / name).touch()
    RunDirectory(tmp_path).open(tiny_config("data", tmp_path), PYRAMID)


def test_data_of_a_checkpoint_without_an_index_is_removed(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.open(tiny_config("data", tmp_path / "run"), PYRAMID)
    run.close()
    run.checkpoints.mkdir()
    kept = ["state-8.data-00000-of-00001", "state-8.index", "state-9.index.unreadable"]
    for name in [*kept, "state-16.data-00000-of-00001", "state-r1-8.data-00000-of-00001"]:
        (run.checkpoints / name).touch()
    RunDirectory(tmp_path / "run").open(tiny_config("data", tmp_path / "run"), PYRAMID)
    assert sorted(p.name for p in run.checkpoints.iterdir()) == kept


def test_a_configuration_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "config.flags").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["log.txt", ".DS_Store", "lost+found/", ".nfs0001", "notes.md"])
def test_a_run_begins_beside_files_that_it_does_not_touch(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name.endswith("/") else path.write_text("mine")
    RunDirectory(tmp_path).open(tiny_config("data", tmp_path), PYRAMID)
    assert path.is_dir() or path.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["photos/", "checkpoints/", "reals.png", "Metrics.jsonl", "x-r02.tfrecords"]
)
def test_a_directory_of_something_else_is_refused_and_the_obstacle_is_named(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name.endswith("/") else path.touch()
    (tmp_path / "log.txt").touch()
    with pytest.raises(UserError, match=rf"no run of pgan-train.* holds {path.name};"):
        RunDirectory(tmp_path).open(tiny_config("data", tmp_path), PYRAMID)
    assert {p.name for p in tmp_path.iterdir()} == {path.name, "log.txt"}


def test_without_locks_a_run_goes_on_and_evaluation_does_not_write_into_it(tmp_path, no_locks):
    run = RunDirectory(tmp_path)
    run.open(tiny_config("data", tmp_path), PYRAMID)
    assert run.is_locked()


def test_a_configuration_that_an_editor_saved_as_utf_16_is_read(tmp_path):
    RunDirectory(tmp_path).open(tiny_config("data", tmp_path), PYRAMID)
    expected = read_config(tmp_path)
    file = tmp_path / "config.flags"
    file.write_text(file.read_text(), "utf-16")
    assert read_config(tmp_path) == expected


def test_a_run_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--run_dir=.*file/run can't be written: Not a directory"):
        RunDirectory(tmp_path / "file" / "run").open(tiny_config("data", tmp_path), PYRAMID)


def test_there_is_no_configuration_where_there_is_no_run(tmp_path):
    assert read_config(tmp_path / "nothing") is None
    assert read_config(tmp_path) is None


@pytest.mark.parametrize(
    ("images_seen", "fractions", "name"),
    [
        (0, False, "000000"),
        (0, True, "000000.000"),
        (123_456, False, "000123"),
        (123_456, True, "000123.456"),
        (2000, True, "000002.000"),
    ],
)
def test_files_are_named_by_kimg(images_seen, fractions, name):
    assert kimg_name(images_seen, fractions=fractions) == name


@pytest.mark.parametrize("fractions", [False, True])
def test_names_of_files_sort_by_time(tmp_path, fractions):
    run = RunDirectory(tmp_path, fractions=fractions)
    times = [0, 32, 1000, 1500, 2000, 20_000, 1_234_567] if fractions else [0, 2000, 10_000, 10**7]
    for path in (run.fakes, run.generator):
        names = [path(images_seen).name for images_seen in times]
        assert names == sorted(names)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(39.6, "40s"), (125, "2m 05s"), (3 * 3600 + 25 * 60, "3h 25m"), (2.125 * 86400, "2d 03h")],
)
def test_durations_are_given_in_two_units(seconds, text):
    assert format_duration(seconds) == text
