"""What every command has in common."""

import errno

import pytest
from absl import flags

from tfrecords_tools.command import SubCommand, run, run_one_of
from tfrecords_tools.errors import UserError


def define(values):
    flags.DEFINE_integer("size", 3, "How large.", flag_values=values)


def raising(error):
    def body(*_):
        raise error

    return body


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["a", "b"], (3, "a", "b")),
        (["a", "--size=5", "b"], (5, "a", "b")),
        (["--size", "5", "a", "b"], (5, "a", "b")),
        (["a", "b", "--size=5"], (5, "a", "b")),
        (["--size=5", "--", "--a", "b"], (5, "--a", "b")),
    ],
)
def test_arguments_and_flags_come_in_any_order(argv, expected):
    got = []

    def body(values, *rest):
        got.append((values["size"].value, *rest))

    assert run("name", "does things.", argv, define, body, ("FIRST", "SECOND")) == 0
    assert got == [expected]


@pytest.mark.parametrize(
    ("arguments", "argv", "expected"),
    [
        ((), ["stray"], "name: error: arguments are given as --flag=value. Received: stray."),
        (
            ("DIRECTORY",),
            [],
            "must be given DIRECTORY, and flags as --flag=value. Received: ",
        ),
        (("DIRECTORY",), ["a", "b"], "must be given DIRECTORY, and flags as --flag=value. Rec"),
        ((), ["--sise=3"], "Unknown command line flag 'sise'"),
        ((), ["--size=big"], "size"),
    ],
)
def test_what_cannot_be_understood_is_one_line(capsys, arguments, argv, expected):
    assert run("name", "does things.", argv, define, raising(AssertionError), arguments) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1 and "See name --help" in err


def test_a_users_mistake_is_one_line_even_if_its_message_is_not(capsys):
    assert run("name", "does things.", [], define, raising(UserError("bad\n  thing"))) == 2
    assert capsys.readouterr().err == "name: error: bad thing\n"


def test_a_full_disk_is_a_mistake_to_mend_and_names_the_file(capsys):
    full = OSError(errno.ENOSPC, "No space left on device", "out/file")
    assert run("name", "does things.", [], define, raising(full)) == 2
    assert capsys.readouterr().err == "name: error: out/file: No space left on device\n"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), AssertionError("bug")])
def test_a_fault_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run("name", "does things.", [], define, raising(error))


def test_ctrl_c_has_its_own_exit_code(capsys):
    assert run("name", "does things.", [], define, raising(KeyboardInterrupt)) == 130
    assert capsys.readouterr().err == "name: interrupted\n"


def test_what_the_body_returns_is_the_exit_code():
    assert run("name", "does things.", [], define, lambda values: 1) == 1


def test_help_lists_flags_and_needs_no_arguments(capsys):
    assert run("name", "does things.", ["--help"], define, raising(AssertionError), ("IN",)) == 0
    out = capsys.readouterr().out
    assert out.startswith("name IN: does things.") and "--size\n      How large. (default:" in out


SUB_COMMANDS = {
    "look": SubCommand("looks.", ("WHERE",), define, lambda values, where: int(where == "here")),
    "leave": SubCommand("leaves.", (), define, lambda values: None),
}


def test_the_first_argument_chooses_the_sub_command(capsys):
    assert run_one_of("name", "does things.", ["look", "here"], SUB_COMMANDS) == 1
    assert run_one_of("name", "does things.", ["look", "there", "--size=1"], SUB_COMMANDS) == 0
    assert run_one_of("name", "does things.", ["leave"], SUB_COMMANDS) == 0
    assert run_one_of("name", "does things.", ["look"], SUB_COMMANDS) == 2
    assert "name look: error: must be given WHERE" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["jump"], ["--size=1", "look", "here"]])
def test_without_a_sub_command_they_are_listed(capsys, argv):
    assert run_one_of("name", "does things.", argv, SUB_COMMANDS) == 2
    err = capsys.readouterr().err
    assert "the first argument must be look or leave. Received: " in err and err.count("\n") == 1


def test_help_lists_the_sub_commands(capsys):
    assert run_one_of("name", "does things.", ["--help"], SUB_COMMANDS) == 0
    out = capsys.readouterr().out
    assert "  look WHERE\n      looks." in out and "  leave\n" in out
