"""Errors that are a user's mistake rather than a fault of the program. Standard library only."""

from typing import TypeVar

Value = TypeVar("Value")


class UserError(ValueError):
    """A mistake that the user can mend: a wrong path, flag or file.

    The message is one line that names the file or flag, what was received and what would be right.
    Commands print it without a traceback and exit with its code.

    Attributes:
      exit_code: 2; kinds of errors that a caller should tell apart have others.
    """

    exit_code = 2


def required(value: Value | None, flag: str, command: str) -> Value:
    """Return the value of a flag that must be given.

    Args:
      value: the flag's value; None or empty if it was not given.
      flag: the flag's name, without dashes.
      command: the command whose help explains the flag.

    Raises:
      UserError: the flag was not given.
    """
    if not value:
        raise UserError(f"--{flag} is required. See {command} --help")
    return value
