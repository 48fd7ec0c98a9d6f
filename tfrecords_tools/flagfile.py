"""Flagfiles: `--flagfile=FILE` on a command line, or in another flagfile, replaced by its flags."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.regular_file import read_text

_MAX_FILES = 200
_NAMES = ("--flagfile", "-flagfile")


def expand_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Return a command line with each `--flagfile=FILE` replaced by the flags in FILE.

    A flagfile holds one flag a line. Blank lines are skipped, and lines that begin with # or //.
    A file that it includes by `--flagfile` is looked up beside it, whatever the current directory.
    Where a flag occurs twice, absl takes the later one, so a file overrides what it has included
    above, and the command line overrides the files that it has named before.

    Args:
      arguments: the command line without the program's name. Nothing after `--` is expanded.

    Raises:
      UserError: a file can't be read, or includes itself.
    """
    return list(_expanded(list(arguments)))


def is_flagfile(argument: str) -> bool:
    """Return True for an argument that names a flagfile."""
    return argument.partition("=")[0] in _NAMES


def flag_lines(text: str) -> list[str]:
    """Return the lines of a flagfile that are neither blank nor comments."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _expanded(arguments: list[str]) -> Iterator[str]:
    number = itertools.count(1)
    while arguments:
        argument = arguments.pop(0)
        if argument == "--":
            yield from [argument, *arguments]
            return
        if not is_flagfile(argument):
            yield argument
            continue
        name, equals, value = argument.partition("=")
        if not equals:
            if not arguments:
                raise UserError(f"{name} needs a file: {name}=FILE")
            value = arguments.pop(0)
        yield from _flags_of(value, (), number)


def _flags_of(value: str, including: tuple[Path, ...], number: Iterator[int]) -> Iterator[str]:
    """Yield the flags of the file that `--flagfile=value` names.

    Args:
      value: as it is written, on the command line or in the last of `including`.
      including: the files that led here, the one on the command line first.
      number: counts the files of a command line: ten that each include the next one ten times are
        10^10.
    """
    if next(number) > _MAX_FILES:
        raise UserError(f"--flagfile={value}: files that include more than {_MAX_FILES} others")
    path = Path(os.path.expanduser(value))
    named = f"--flagfile={value}"
    if including:
        path = including[-1].parent / path
        named = f"{including[-1]}: {named}, looked up beside it"
    resolved = path.resolve()
    if resolved in (file.resolve() for file in including):
        chain = " -> ".join(str(file) for file in (*including, path))
        raise UserError(f"a flagfile must not include itself. Received: {chain}")
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"{named}: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{named}: {str(error).removeprefix(f'{path}: ')}") from error
    for line in flag_lines(text):
        if is_flagfile(line):
            yield from _flags_of(line.partition("=")[2].strip(), (*including, path), number)
        else:
            yield line
