"""The ground of every command of the project: flags, help, one-line errors, exit codes."""

import dataclasses
import errno
import logging as python_logging
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging

from tfrecords_tools.command.completion import completion_script, words_of
from tfrecords_tools.command.flagfile import (
    expand_flagfiles,
    origin_of,
    origin_of_error,
    origin_of_flag,
)
from tfrecords_tools.command.help import (
    ALL,
    EVERYWHERE,
    Help,
    Section,
    aligned,
    define_help,
    heading,
    no_such_help,
)
from tfrecords_tools.command.interruption import EXIT_INTERRUPTED, interruptible
from tfrecords_tools.command.suggestions import did_you_mean
from tfrecords_tools.command.version import version_line
from tfrecords_tools.errors import UserError
from tfrecords_tools.files.home import expand_home
from tfrecords_tools.printable import encodable, escape_for_streams, printable

__all__ = ["Command", "CommandGroup", "Help", "Section", "require_utf8", "run", "run_one_of"]

EXIT_OK = 0
EXIT_USER_ERROR = UserError.exit_code
EXIT_BROKEN_PIPE = 141

# The operating system's refusals that a user can mend. Any other OSError is a fault of the program.
# Of absl.
_BOOLEAN_WITH_VALUE = re.compile(r"flag --(\w+)=(.*): \('Non-boolean argument.*\)")
_SWITCH = r"--\1 takes no value: it is on or off, --\1 or --no\1. Received: \2"
_REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENOENT,
        errno.ENXIO,
    }
)


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, or one of several that share a name.

    Attributes:
      name: as the user types it, such as `pgan-train` or `pgan-inspect-tfrecords info`.
      help: what `--help` says.
      define: defines the flags on the `FlagValues` it is given. They are the command's own, not
        absl's global ones, so several commands can run in one process.
      body: does the work; returns an exit code, or None for success. Called with the flags, then
        with the arguments.
      arguments: names of the arguments that must be given without a flag, such as ("DIRECTORY",).
      flagfiles: the directory of flagfiles that belong to the command, which `--flagfile` takes by
        their names alone; None if there are none.
      typed: names of flags that no flagfile may hold, because they name code to execute, and a
        flagfile may come from a stranger.
    """

    name: str
    help: Help
    define: Callable[[flags.FlagValues], None]
    body: Callable[..., int | None]
    arguments: tuple[str, ...] = ()
    flagfiles: Path | None = None
    typed: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The name and the arguments."""
        return " ".join((self.name, *self.arguments))

    def new_flags(self) -> flags.FlagValues:
        """Return the command's flags, `--help` included, with their defaults."""
        flag_values = flags.FlagValues()
        self.define(flag_values)
        define_help(flag_values)
        return flag_values


@dataclasses.dataclass(frozen=True)
class CommandGroup:
    """Commands of which the first argument chooses one.

    Attributes:
      name: what they share, as the user types it.
      description: begins with a verb and ends with a full stop.
      example: one complete command line.
      commands: by the argument that chooses them.
    """

    name: str
    description: str
    example: str
    commands: Mapping[str, Command]

    def help(self, wanted: str = "") -> str:
        """Return the text that `--help` prints, or `--help=WANTED`: of one command, or of all.

        Raises:
          UserError: there is no such command.
        """
        if wanted in self.commands:
            command = self.commands[wanted]
            return command.help.text(command.usage, command.new_flags())
        if wanted == ALL:
            return "\n".join(self.help(name) for name in self.commands)
        if wanted:
            raise no_such_help(wanted, (*self.commands, ALL))
        rows = [
            (" ".join((name, *command.arguments)), command.help.description)
            for name, command in self.commands.items()
        ]
        lines = [
            *heading(self.name, self.description, self.example),
            "Commands:",
            *aligned(rows),
            "",
        ]
        lines += [
            f"--help=COMMAND shows the flags of one, --help={ALL} the flags of all.",
            *EVERYWHERE,
        ]
        return "\n".join(lines) + "\n"


def run_one_of(group: CommandGroup, argv: Sequence[str] | None) -> int:
    """Run the command that the first argument names with the others; see `run`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in group.commands:
        return run(group.commands[arguments[0]], arguments[1:], ends_process=argv is None)
    flag_values = flags.FlagValues()
    define_help(flag_values)
    try:
        words = {name: words_of(command.new_flags()) for name, command in group.commands.items()}
        if text := _about(group.name, words, arguments):
            sys.stdout.write(text)
            return EXIT_OK
        flag_values([group.name, *(_long_help(a) for a in arguments if _is_help(a))])
        wanted = flag_values["help"].value
        if wanted is not None:
            sys.stdout.write(group.help(wanted))
            return EXIT_OK
    except UserError as error:
        return _fail(group.name, str(error))
    received = arguments[0] if arguments else "nothing"
    return _fail(
        group.name,
        f"the first argument must be {' or '.join(group.commands)}. Received: {received}"
        f"{did_you_mean(received, group.commands) or '.'} See {group.name} --help",
    )


def run(command: Command, argv: Sequence[str] | None, *, ends_process: bool = False) -> int:
    """Parse a command line, call the command's body and return the exit code.

    Args:
      command: the command.
      argv: the arguments without the program's name; None takes them from `sys.argv`.
      ends_process: the process ends with the command, as it does if `argv` is None.

    Returns:
      0 for success, 2 for a user's mistake (said in one line on stderr), 130 after Ctrl-C, 141 if
      what reads stdout has gone, or what the body returned.
    """
    _set_up_logging()
    ends_process = ends_process or argv is None
    if ends_process:
        # The current directory, which may be a stranger's, is no place for the modules that the
        # child processes of Python import.
        os.environ.setdefault("PYTHONSAFEPATH", "1")
    name = command.name
    flag_values = command.new_flags()
    given = list(sys.argv[1:] if argv is None else argv)
    expanded: list[str] = []
    try:
        if text := _about(name, {"": words_of(flag_values)}, given):
            sys.stdout.write(text)
            return EXIT_OK
        expanded = expand_flagfiles(given, command.flagfiles)
        arguments = _parse(flag_values, command, expanded)
        wanted = flag_values["help"].value
        if wanted is not None:
            sys.stdout.write(command.help.text(command.usage, flag_values, wanted))
            return EXIT_OK
        _check_arguments(name, command.arguments, arguments)
        with interruptible(name, ends_process=ends_process):
            return command.body(flag_values, *arguments) or EXIT_OK
    except UserError as error:
        where = origin_of_flag(str(error), expanded)
        return _fail(name, f"{where}{error}", error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        return EXIT_INTERRUPTED
    except UnicodeEncodeError as error:
        if encodable(error.object) == error.object:
            raise
        around = error.object[max(0, error.start - 60) : error.end + 20].split("\n")[0]
        return _fail(name, f"a name that is no UTF-8 can't be used here. Received: {around}")
    except BrokenPipeError:
        # `| head` has seen enough. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        # Of a copy on a full disk, the file that was written.
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        file = (is_full and error.filename2) or error.filename
        message = f"{file}: {error.strerror}" if file else str(error.strerror)
        return _fail(name, f"{origin_of_flag(message, expanded)}{message}")


class _OneLine(python_logging.Formatter):
    """A formatter of records as one line each, whatever names are in them."""

    def formatMessage(self, record: python_logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))


def require_utf8(flag_values: flags.FlagValues) -> None:
    """Refuse values of flags that are no line of UTF-8.

    For commands whose files TensorFlow writes, or which keep their flags, one a line.

    Raises:
      UserError: names the flag.
    """
    for name, value in flag_values.flag_values_dict().items():
        if not isinstance(value, str):
            continue
        if encodable(value) != value:
            raise UserError(f"--{name} must be UTF-8; rename it. Received: {value}")
        if value.splitlines() not in ([], [value]):
            raise UserError(f"--{name} must be one line; rename it. Received: {value!r}")


def _is_help(argument: str) -> bool:
    return argument.partition("=")[0] in ("--help", "-help", "-h")


def _long_help(argument: str) -> str:
    return "--help" if argument == "-h" else argument


def _about(name: str, words: Mapping[str, Sequence[str]], given: Sequence[str]) -> str:
    """Return the text that `--version` or `--completion=SHELL` prints; empty without either.

    Args:
      name: the command's, as it is typed.
      words: see `completion_script`.
      given: the command line.

    Raises:
      UserError: there is no such shell.
    """
    for argument in given:
        flag, _, value = argument.partition("=")
        if argument == "--":
            break
        if argument == "--version":
            return f"{name} {version_line()}\n"
        if flag == "--completion":
            return completion_script(name, words, value)
    return ""


def _set_up_logging() -> None:
    """Send warnings to stderr, each as one line without file names and thread numbers."""
    escape_for_streams()
    if not flags.FLAGS.is_parsed():
        # Commands have flags of their own; without this absl says that it waits for its own.
        flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_handler().setFormatter(_OneLine("%(levelname)s: %(message)s"))


def _parse(flag_values: flags.FlagValues, command: Command, expanded: list[str]) -> list[str]:
    """Set the flags and return the arguments that are not flags."""
    name = command.name
    expanded = [*map(_long_help, expanded)] if "--" not in expanded else expanded

    def origin(error: Exception) -> str:
        return origin_of_error(error, expanded, lambda line: command.new_flags()([name, line]))

    for argument in expanded:
        given = argument.lstrip("-").partition("=")[0]
        if given in command.typed and origin_of(argument):
            raise UserError(
                f"{origin_of(argument)}--{given} names code to execute, which no file may do; give"
                " it on the command line itself"
            )
    try:
        arguments = flag_values([name, *expanded])[1:]
    except flags.UnrecognizedFlagError as error:
        known = [*flag_values, "flagfile", "version", "completion"]
        raise UserError(
            f"{origin(error)}Unknown command line flag '{error.flagname}'"
            f"{_meant(error.flagname, flag_values, known) or '.'} See {name} --help"
        ) from error
    except (flags.Error, ValueError) as error:  # a ValueError: --noflag=value
        reason = _BOOLEAN_WITH_VALUE.sub(_SWITCH, _one_line(str(error)))
        raise UserError(f"{origin(error)}{reason}. See {name} --help") from error
    for flag in (flag_values[each] for each in flag_values):
        if flag.present:
            check_numbers(flag.name, flag.value)
        if flag.present and flag.flag_type() == "string":
            flag.value = flag.value and expand_home(flag.value)
    return [argument if origin_of(argument) else expand_home(argument) for argument in arguments]


def check_numbers(name: str, value: Any) -> None:
    """Refuse numbers that no flag can mean, and that overflow where they are computed with.

    Raises:
      UserError: names the flag.
    """
    if isinstance(value, Mapping):
        for number in (*value, *value.values()):
            check_numbers(name, number)
    elif isinstance(value, int) and abs(value) >= 1 << 63:
        raise UserError(f"--{name} must be below 2^63. Received: {value.bit_length()} bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"--{name} must be a finite number. Received: {value}")


def _meant(attempt: str, flag_values: flags.FlagValues, known: Sequence[str]) -> str:
    """Return a question after the flag that was meant; empty if none is like it."""
    positive = attempt.removeprefix("no").lstrip("-_")
    if positive != attempt and positive in flag_values and flag_values[positive].boolean:
        return f". Did you mean --no{positive}?"
    return did_you_mean(attempt, known, "--")


def _check_arguments(name: str, wanted: Sequence[str], given: Sequence[str]) -> None:
    if len(given) == len(wanted):
        return
    received = " ".join(given) or "nothing"
    where = next(filter(None, map(origin_of, given)), "")
    if wanted:
        raise UserError(
            f"{where}must be given {' '.join(wanted)}, and flags as --flag=value."
            f" Received: {received}. See {name} --help"
        )
    raise UserError(
        f"{where}arguments are given as --flag=value. Received: {received}. See {name} --help"
    )


def _fail(name: str, message: str, code: int = EXIT_USER_ERROR) -> int:
    sys.stderr.write(f"{name}: error: {_one_line(message)}\n")
    return code


def _one_line(message: str) -> str:
    return printable(" ".join(message.split()))
