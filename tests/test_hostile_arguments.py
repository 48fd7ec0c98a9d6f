"""Every command, given numbers that nothing can hold and pipes for files: one line, code 2."""

import os

import pytest

from tests.test_help import COMMANDS
from tfrecords_tools.command import run

NUMBERS = [
    (command, flag.name)
    for command in COMMANDS.values()
    for flag in (command.new_flags()[name] for name in command.new_flags())
    if flag.flag_type() in ("int", "float", "number or word", "resolution table")
]
# A flag of each command that names a file or a directory to read, with what else it needs.
PIPES = {
    "pgan-train": ["--run_dir=new", "--data_dir=pipe"],
    "pgan-generate": ["--network=pipe", "--output=out"],
    "pgan-project": ["--network=pipe", "--input=pipe", "--output=out"],
    "pgan-evaluate": ["--network=pipe", "--data_dir=pipe"],
    "pgan-export": ["--network=pipe", "--format=saved_model", "--output=out"],
    "pgan-import": ["--input=pipe", "--output=out"],
    "pgan-prepare-tfrecords": ["--input=pipe", "--output=out", "--source=images"],
}
SOURCES = ["celeba", "celebahq", "cifar10", "hdf5", "idx", "images", "lsun", "mnist_rgb", "svhn"]


def refuse(capsys, command, *arguments):
    """Run a command, which must fail as a user's mistake; return the error line."""
    assert run(command, arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{command.name}: error: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize(("command", "flag"), NUMBERS, ids=lambda x: getattr(x, "name", x))
def test_numbers_that_overflow_are_refused_by_name(capsys, command, flag):
    table = command.new_flags()[flag].flag_type() == "resolution table"
    for number in ("9" * 400, "9" * 5000, "-" + "9" * 400, "1e400", "nan"):
        value = f"4:{number}" if table else number
        arguments = [f"--{flag}={value}", *["x"] * len(command.arguments)]
        assert flag in refuse(capsys, command, *arguments)


@pytest.fixture
def pipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_in_place_of_input_ends_a_command_at_once(pipe, capsys, name):
    refuse(capsys, COMMANDS[name], *PIPES[name])


@pytest.mark.parametrize("source", SOURCES)
def test_a_pipe_in_place_of_a_source_ends_at_once(pipe, capsys, source):
    arguments = [f"--source={source}", "--input=pipe", "--output=out"]
    refuse(capsys, COMMANDS["pgan-prepare-tfrecords"], *arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_or_a_device_as_a_flagfile_ends_at_once(pipe, capsys, name):
    for file in ("pipe", "/dev/zero"):
        error = refuse(capsys, COMMANDS[name], f"--flagfile={file}")
        assert "must be a file. Received: a " in error
