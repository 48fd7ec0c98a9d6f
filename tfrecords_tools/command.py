"""What every command of the project has in common: flags, help, one-line errors, exit codes."""

import errno
import logging as python_logging
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags, logging

from tfrecords_tools.errors import UserError

EXIT_OK = 0
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

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


def run(
    name: str,
    description: str,
    argv: Sequence[str] | None,
    define: Callable[[flags.FlagValues], None],
    body: Callable[[flags.FlagValues], int | None],
) -> int:
    """Parses a command line into flags of its own, calls `body` with them, returns the exit code.

    Args:
      name: the command, as the user types it.
      description: what `--help` says above the flags.
      argv: the arguments without the program's name; None takes them from `sys.argv`.
      define: defines the command's flags on the `FlagValues` it is given. The flags are the
        command's own, not absl's global ones, so several commands can run in one process.
      body: does the work; returns an exit code, or None for success.

    Returns:
      0 for success, 2 for a user's mistake (said in one line on stderr), 130 after Ctrl-C, or what
      `body` returned.
    """
    _set_up_logging()
    flag_values = flags.FlagValues()
    define(flag_values)
    flags.DEFINE_boolean("help", False, "Show this help and exit.", flag_values=flag_values)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _parse(flag_values, name, arguments)
        if flag_values["help"].value:
            sys.stdout.write(_help(name, description, flag_values))
            return EXIT_OK
        return body(flag_values) or EXIT_OK
    except UserError as error:
        return _fail(name, str(error))
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        return EXIT_INTERRUPTED
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


def _parse(flag_values: flags.FlagValues, name: str, arguments: list[str]) -> None:
    try:
        rest = flag_values([name, *arguments])[1:]
    except flags.Error as error:
        raise UserError(f"{_one_line(str(error))}. See {name} --help") from error
    if rest:
        raise UserError(
            f"arguments are given as --flag=value. Received: {' '.join(rest)}. See {name} --help"
        )


def _fail(name: str, message: str) -> int:
    sys.stderr.write(f"{name}: error: {_one_line(message)}\n")
    return EXIT_USER_ERROR


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _help(name: str, description: str, flag_values: flags.FlagValues) -> str:
    lines = [f"{name}: {description}", "", "Flags (also read from --flagfile=FILE):"]
    for flag_name in sorted(flag_values):
        flag = flag_values[flag_name]
        if flag_name != flag.name:
            continue
        choices = getattr(flag.parser, "enum_values", None)
        shown = f"--{flag.name}" + (f"={'|'.join(choices)}" if choices else "")
        default = "" if flag.default in (None, "") else f" (default: {flag.default_as_str})"
        lines.append(f"  {shown}")
        lines.append(textwrap.fill(f"{flag.help}{default}", 96, initial_indent=" " * 6,
                                   subsequent_indent=" " * 6))  # fmt: skip
    return "\n".join(lines) + "\n"
