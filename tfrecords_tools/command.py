"""What every command of the project has in common: flags, help, one-line errors, exit codes."""

import dataclasses
import errno
import logging as python_logging
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence

from absl import flags, logging

from tfrecords_tools.errors import UserError
from tfrecords_tools.flagfile import expand_flagfiles

EXIT_OK = 0
EXIT_USER_ERROR = UserError.exit_code
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

# The operating system's refusals that a user can mend. Any other OSError is a fault of the program.
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
    }
)


@dataclasses.dataclass(frozen=True)
class SubCommand:
    """One of several things that a command does.

    Attributes:
      description: what `--help` says about it.
      arguments: names of what is given without a flag, such as ("DIRECTORY",).
      define: defines its flags.
      body: does the work, given the flags and the arguments; returns an exit code, or None.
    """

    description: str
    arguments: tuple[str, ...]
    define: Callable[[flags.FlagValues], None]
    body: Callable[..., int | None]


def run_one_of(
    name: str,
    description: str,
    argv: Sequence[str] | None,
    sub_commands: Mapping[str, SubCommand],
) -> int:
    """Runs the sub-command that the first argument names; the rest is for `run`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in sub_commands:
        chosen = sub_commands[arguments[0]]
        return run(
            f"{name} {arguments[0]}",
            chosen.description,
            arguments[1:],
            chosen.define,
            chosen.body,
            chosen.arguments,
        )
    if any(argument in ("--help", "-help") for argument in arguments):
        sys.stdout.write(_help_on_all(name, description, sub_commands))
        return EXIT_OK
    received = arguments[0] if arguments else "nothing"
    return _fail(
        name,
        f"the first argument must be {' or '.join(sub_commands)}. Received: {received}."
        f" See {name} --help",
    )


def run(
    name: str,
    description: str,
    argv: Sequence[str] | None,
    define: Callable[[flags.FlagValues], None],
    body: Callable[..., int | None],
    arguments: Sequence[str] = (),
) -> int:
    """Parses a command line into flags of its own, calls `body` with them, returns the exit code.

    Args:
      name: the command, as the user types it.
      description: what `--help` says above the flags.
      argv: the arguments without the program's name; None takes them from `sys.argv`.
      define: defines the command's flags on the `FlagValues` it is given. The flags are the
        command's own, not absl's global ones, so several commands can run in one process.
      body: does the work; returns an exit code, or None for success. Called with the flags, then
        with the arguments.
      arguments: names of the arguments that must be given without a flag.

    Returns:
      0 for success, 2 for a user's mistake (said in one line on stderr), 130 after Ctrl-C, 141 if
      what reads stdout has gone, or what `body` returned.
    """
    _set_up_logging()
    flag_values = flags.FlagValues()
    define(flag_values)
    flags.DEFINE_boolean("help", False, "Show this help and exit.", flag_values=flag_values)
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        rest = _parse(flag_values, name, given)
        if flag_values["help"].value:
            sys.stdout.write(_help(name, description, flag_values, arguments))
            return EXIT_OK
        _check_arguments(name, arguments, rest)
        return body(flag_values, *rest) or EXIT_OK
    except UserError as error:
        return _fail(name, str(error), error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `| head` has seen enough. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fail(name, f"{where}{error.strerror}")


def _set_up_logging() -> None:
    """Warnings go to stderr, as one line without file names and thread numbers."""
    if not flags.FLAGS.is_parsed():
        # Commands have flags of their own; without this absl says that it waits for its own.
        flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    formatter = python_logging.Formatter("%(levelname)s: %(message)s")
    logging.get_absl_handler().setFormatter(formatter)


def _parse(flag_values: flags.FlagValues, name: str, given: list[str]) -> list[str]:
    """Sets the flags; returns the arguments that are none."""
    try:
        return flag_values([name, *expand_flagfiles(given)])[1:]
    except flags.Error as error:
        raise UserError(f"{_one_line(str(error))}. See {name} --help") from error


def _check_arguments(name: str, wanted: Sequence[str], given: Sequence[str]) -> None:
    if len(given) == len(wanted):
        return
    received = " ".join(given) or "nothing"
    if wanted:
        raise UserError(
            f"must be given {' '.join(wanted)}, and flags as --flag=value. Received: {received}."
            f" See {name} --help"
        )
    raise UserError(f"arguments are given as --flag=value. Received: {received}. See {name} --help")


def _fail(name: str, message: str, code: int = EXIT_USER_ERROR) -> int:
    sys.stderr.write(f"{name}: error: {_one_line(message)}\n")
    return code


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _help_on_all(name: str, description: str, sub_commands: Mapping[str, SubCommand]) -> str:
    lines = [f"{name}: {description}", "", "Commands:"]
    for sub_name, sub_command in sub_commands.items():
        lines.append(f"  {' '.join((sub_name, *sub_command.arguments))}")
        lines.append(_filled(sub_command.description))
    lines += ["", f"Each has flags: {name} {next(iter(sub_commands))} --help"]
    return "\n".join(lines) + "\n"


def _help(
    name: str, description: str, flag_values: flags.FlagValues, arguments: Sequence[str]
) -> str:
    lines = [f"{' '.join((name, *arguments))}: {description}", ""]
    lines.append("Flags (also read from --flagfile=FILE):")
    for flag_name in sorted(flag_values):
        flag = flag_values[flag_name]
        if flag_name != flag.name:
            continue
        choices = getattr(flag.parser, "enum_values", None)
        shown = f"--{flag.name}" + (f"={'|'.join(choices)}" if choices else "")
        default = "" if flag.default in (None, "") else f" (default: {flag.default_as_str})"
        lines.append(f"  {shown}")
        lines.append(_filled(f"{flag.help}{default}"))
    return "\n".join(lines) + "\n"


def _filled(text: str) -> str:
    indent = " " * 6
    return textwrap.fill(text, 96, initial_indent=indent, subsequent_indent=indent)
