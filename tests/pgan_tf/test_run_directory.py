import dataclasses

import pytest

from pgan_tf.run_directory import RunDirectory, kimg_name, read_config
from tests.pgan_tf.tiny import tiny_config
from tfrecords_tools.errors import UserError


def resolved(config):
    """As it is read back: what only the data can tell is not in a flagfile."""
    network = dataclasses.replace(config.network, channels=3, label_size=0)
    return dataclasses.replace(config, network=network)


def test_a_new_run_keeps_its_configuration(tmp_path):
    config = tiny_config("data", tmp_path / "run")
    RunDirectory(tmp_path / "run").open(config)
    assert read_config(tmp_path / "run") == resolved(config)


def test_an_empty_directory_is_a_new_run(tmp_path):
    RunDirectory(tmp_path).open(tiny_config("data", tmp_path))
    assert (tmp_path / "config.flags").exists()


def test_a_run_can_be_continued_for_longer(tmp_path):
    config = tiny_config("data", tmp_path)
    RunDirectory(tmp_path).open(config)
    longer = dataclasses.replace(config.schedule, total_kimg=9.0)
    RunDirectory(tmp_path).open(dataclasses.replace(config, schedule=longer))
    assert read_config(tmp_path).schedule.total_kimg == 9.0


def test_a_run_made_with_other_flags_is_refused_and_left_as_it_was(tmp_path):
    config = tiny_config("data", tmp_path)
    RunDirectory(tmp_path).open(config)
    other = dataclasses.replace(config, run=dataclasses.replace(config.run, seed=5))
    with pytest.raises(UserError, match=r"other flags: --seed=5 \(was 1\)"):
        RunDirectory(tmp_path).open(other)
    assert read_config(tmp_path) == resolved(config)


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="neither empty nor a run of pgan-train"):
        RunDirectory(tmp_path).open(tiny_config("data", tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_directory_that_can_not_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--run_dir=.*file/run can't be written: Not a directory"):
        RunDirectory(tmp_path / "file" / "run").open(tiny_config("data", tmp_path))


def test_there_is_no_configuration_where_there_is_no_run(tmp_path):
    assert read_config(tmp_path / "nothing") is None
    assert read_config(tmp_path) is None


@pytest.mark.parametrize(
    ("images_seen", "fractions", "name"),
    [
        (0, False, "000000"),
        (0, True, "000000"),
        (123_456, False, "000123"),
        (123_456, True, "000123.456"),
        (2000, True, "000002"),
    ],
)
def test_files_are_named_by_kimg(images_seen, fractions, name):
    assert kimg_name(images_seen, fractions=fractions) == name
