"""The ground of every command: arguments, errors, exit codes, help."""

import errno
import logging as python_logging
import re

import pytest
from absl import flags, logging

from tfrecords_tools.command import (
    Command,
    CommandGroup,
    Help,
    Section,
    require_utf8,
    run,
    run_one_of,
)
from tfrecords_tools.errors import UserError


def define(values):
    flags.DEFINE_integer("size", 3, "How large.", flag_values=values)


HELP = Help("does things.", "name --size=4")


def call(argv, body, arguments=()):
    return run(Command("name", HELP, define, body, arguments), argv)


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

    assert call(argv, body, ("FIRST", "SECOND")) == 0
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
        ((), ["--sise=3"], "Unknown command line flag 'sise'. Did you mean --size? See"),
        ((), ["--wholly=3"], "Unknown command line flag 'wholly'. See"),
        ((), ["--verison"], "Did you mean --version?"),
        ((), ["--size=big"], "size"),
    ],
)
def test_what_cannot_be_understood_is_one_line(capsys, arguments, argv, expected):
    assert call(argv, raising(AssertionError), arguments) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1 and "See name --help" in err


def test_a_users_mistake_is_one_line_even_if_its_message_is_not(capsys):
    assert call([], raising(UserError("bad\n  thing"))) == 2
    assert capsys.readouterr().err == "name: error: bad thing\n"


def test_a_full_disk_is_a_mistake_to_mend_and_names_the_file(capsys):
    full = OSError(errno.ENOSPC, "No space left on device", "out/file")
    assert call([], raising(full)) == 2
    assert capsys.readouterr().err == "name: error: out/file: No space left on device\n"
    copying = OSError(errno.ENOSPC, "No space left on device", "source", None, "out/copy")
    assert call([], raising(copying)) == 2
    assert capsys.readouterr().err == "name: error: out/copy: No space left on device\n"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), AssertionError("bug")])
def test_a_fault_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        call([], raising(error))


def test_ctrl_c_has_its_own_exit_code(capsys):
    assert call([], raising(KeyboardInterrupt)) == 130
    assert capsys.readouterr().err == "name: interrupted\n"


def test_what_the_body_returns_is_the_exit_code():
    assert call([], lambda values: 1) == 1


SECTIONS = (
    Section("sizes", "how large", ("size", "depth")),
    Section("kinds", "of what", ("kind",)),
)


def define_many(values):
    define(values)
    flags.DEFINE_integer("depth", None, "How deep. Default: as size.", flag_values=values)
    flags.DEFINE_enum("kind", "a", ["a", "b"], "Of what kind.", flag_values=values)
    flags.DEFINE_boolean("loud", True, "Tell all.", flag_values=values)
    flags.DEFINE_list("names", ["x", "y"], "What to call it.", flag_values=values)
    flags.DEFINE_float("weight", 600.0, "How heavy.", flag_values=values)


def help_of(argv, capsys, **options):
    """Returns the exit code and what is printed."""
    command = Command(
        "name",
        Help("does things.", "name --size=4", **options),
        define_many,
        raising(AssertionError),
        ("IN",),
    )
    return run(command, argv), capsys.readouterr()


@pytest.mark.parametrize("argument", ["--help", "-help", "-h", "--help=all"])
def test_help_of_a_command_without_sections_describes_all_flags(capsys, argument):
    code, printed = help_of([argument], capsys)
    assert code == 0 and printed.err == ""
    assert (
        printed.out
        == """\
name IN: does things.

Example:
  name --size=4

Flags:
  --size
      How large. (default: 3)
  --depth
      How deep. Default: as size.
  --kind=a|b
      Of what kind. (default: a)
  --[no]loud
      Tell all. (default: true)
  --names
      What to call it. (default: x,y)
  --weight
      How heavy. (default: 600)

--flagfile=FILE reads flags from a file, one a line. Flags given after it win over the
file's.
-h is --help; --version prints versions; --completion=bash|zsh prints a script that makes the
shell complete flags.
"""
    )


def test_help_of_a_command_with_sections_is_what_people_use_first_and_the_sections(capsys):
    code, printed = help_of(["--help"], capsys, most_used=("kind",), sections=SECTIONS)
    assert code == 0
    assert (
        printed.out
        == """\
name IN: does things.

Example:
  name --size=4

Most used flags:
  --kind=a|b
      Of what kind. (default: a)

All flags, by section: --help=SECTION shows one section, --help=all every flag.
  sizes  how large
  kinds  of what

--flagfile=FILE reads flags from a file, one a line. Flags given after it win over the
file's.
-h is --help; --version prints versions; --completion=bash|zsh prints a script that makes the
shell complete flags.
"""
    )


def test_help_shows_one_section_or_all(capsys):
    code, printed = help_of(["--help=sizes"], capsys, most_used=("kind",), sections=SECTIONS)
    assert (
        code == 0
        and printed.out
        == """\
name IN, flags of one section:

[sizes] how large
  --size
      How large. (default: 3)
  --depth
      How deep. Default: as size.
"""
    )
    code, printed = help_of(["--help=all"], capsys, most_used=("kind",), sections=SECTIONS)
    assert code == 0
    assert (
        "[sizes] how large\n  --size\n" in printed.out
        and "[kinds] of what\n  --kind=a|b\n" in printed.out
    )


@pytest.mark.parametrize(("sections", "known"), [(SECTIONS, "sizes, kinds, all"), ((), "all")])
def test_help_on_an_unknown_section_is_a_mistake_that_names_the_known_ones(capsys, sections, known):
    code, printed = help_of(["--help=shapes"], capsys, sections=sections)
    assert code == 2 and printed.out == ""
    assert printed.err == f"name: error: --help must be one of {known}. Received: shapes\n"


def test_a_default_stays_on_one_line(capsys):
    def define_long(values):
        flags.DEFINE_integer("size", 3, "word " * 16 + "ends.", flag_values=values)

    assert run(Command("name", HELP, define_long, raising(AssertionError)), ["--help"]) == 0
    assert "ends.\n      (default: 3)\n" in capsys.readouterr().out


def test_a_value_for_a_negated_flag_is_a_mistake(capsys):
    code, printed = help_of(["--noloud=true"], capsys)
    assert code == 2
    assert "--noloud=true does not take an argument" in printed.err
    assert printed.err.count("\n") == 1


def test_a_value_for_a_switch_is_a_mistake(capsys):
    code, printed = help_of(["--loud=2x2"], capsys)
    assert code == 2
    expected = "--loud takes no value: it is on or off, --loud or --noloud. Received: 2x2. "
    assert f"name: error: {expected}" in printed.err


def test_a_negation_spelled_otherwise_is_understood_in_the_answer(capsys):
    for attempt in ("--no-loud", "--no_loud"):
        code, printed = help_of([attempt], capsys)
        assert code == 2 and "Did you mean --noloud?" in printed.err


COMMANDS = CommandGroup(
    "name",
    "does things.",
    "name look here",
    {
        "look": Command(
            "name look",
            Help("looks.", "name look here"),
            define,
            lambda values, where: int(where == "here"),
            ("WHERE",),
        ),
        "leave": Command("name leave", Help("leaves.", "name leave"), define, lambda values: None),
    },
)


def test_the_first_argument_chooses_the_command(capsys):
    assert run_one_of(COMMANDS, ["look", "here"]) == 1
    assert run_one_of(COMMANDS, ["look", "there", "--size=1"]) == 0
    assert run_one_of(COMMANDS, ["leave"]) == 0
    assert run_one_of(COMMANDS, ["look"]) == 2
    assert "name look: error: must be given WHERE" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["jump"], ["--size=1", "look", "here"]])
def test_without_a_command_they_are_listed(capsys, argv):
    assert run_one_of(COMMANDS, argv) == 2
    err = capsys.readouterr().err
    assert "the first argument must be look or leave. Received: " in err and err.count("\n") == 1


@pytest.mark.parametrize("argument", ["--help", "-help", "-h"])
def test_help_lists_the_commands(capsys, argument):
    assert run_one_of(COMMANDS, [argument]) == 0
    assert (
        capsys.readouterr().out
        == """\
name: does things.

Example:
  name look here

Commands:
  look WHERE  looks.
  leave       leaves.

--help=COMMAND shows the flags of one, --help=all the flags of all.
-h is --help; --version prints versions; --completion=bash|zsh prints a script that makes the
shell complete flags.
"""
    )


def test_a_command_like_the_first_argument_is_proposed(capsys):
    assert run_one_of(COMMANDS, ["leav"]) == 2
    assert "Received: leav. Did you mean leave? See name --help" in capsys.readouterr().err


def test_help_describes_one_command_or_all(capsys):
    assert run_one_of(COMMANDS, ["leave", "--help"]) == 0
    leave = capsys.readouterr().out
    assert leave.startswith("name leave: leaves.\n") and "--size\n      How large." in leave
    assert run_one_of(COMMANDS, ["--help=leave"]) == 0
    assert capsys.readouterr().out == leave
    assert run_one_of(COMMANDS, ["--help=all"]) == 0
    everything = capsys.readouterr().out
    assert leave in everything and "name look WHERE: looks.\n" in everything
    assert run_one_of(COMMANDS, ["--help=jump"]) == 2
    expected = "name: error: --help must be one of look, leave, all. Received: jump\n"
    assert capsys.readouterr().err == expected


def test_versions_are_printed_by_every_kind_of_command_and_nothing_else_happens(capsys):
    expected = r"name( look)? \d+\.\d+\.\d+, TensorFlow \d.*, Keras \d.*, NumPy \d.*, Python 3.*\n"
    assert call(["--version", "--size=big"], raising(AssertionError)) == 0
    assert re.fullmatch(expected, capsys.readouterr().out)
    assert run_one_of(COMMANDS, ["--version"]) == run_one_of(COMMANDS, ["look", "--version"]) == 0
    assert all(re.fullmatch(expected, f"{line}\n") for line in capsys.readouterr().out.splitlines())


def test_words_after_two_dashes_are_no_flags(capsys):
    got = []
    assert call(["--", "--version", "-h"], lambda _, *rest: got.extend(rest), ("A", "B")) == 0
    assert got == ["--version", "-h"]


def test_no_message_reaches_a_terminal_with_control_characters_in_it(capsys):
    assert call([], raising(UserError("b\x1b]0;x\x07\udce9.png: bad"))) == 2
    assert capsys.readouterr().err == "name: error: b\\x1b]0;x\\x07\\xe9.png: bad\n"
    arguments = ("a\x1b[2J\udce9\u202e.png",)
    warning = python_logging.LogRecord("absl", 30, "file", 1, "%s: odd", arguments, None)
    shown = logging.get_absl_handler().format(warning)
    assert shown == "WARNING: a\\x1b[2J\\xe9\\u202e.png: odd"


def test_a_name_that_is_no_utf8_is_no_traceback_where_it_can_not_be_used(capsys):
    def encode(*_):
        ("x" * 1000 + "/caf\udce9/y").encode()

    assert call([], encode) == 2
    error = capsys.readouterr().err
    assert "a name that is no UTF-8 can't be used here. Received: xxx" in error
    assert "/caf\\xe9/y" in error and len(error) < 200
    with pytest.raises(UnicodeEncodeError):
        call([], lambda *_: bool("\xe9".encode("ascii")))


def test_a_command_may_require_utf8(capsys):
    def define_name(values):
        flags.DEFINE_string("name", None, "A name.", flag_values=values)

    command = Command("name", HELP, define_name, require_utf8)
    assert run(command, ["--name=café"]) == 0
    assert run(command, ["--name=caf\udce9"]) == 2
    assert "--name must be UTF-8; rename it. Received: caf\\xe9" in capsys.readouterr().err
    for name in ("a\nb", "a\n", "a\x85b", "a\u2028b"):
        assert run(command, [f"--name={name}"]) == 2
        assert "--name must be one line; rename it. Received: 'a\\" in capsys.readouterr().err
