"""Flagfiles: `--flagfile=FILE` on a command line, or in another flagfile, replaced by its flags."""

import codecs
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import MAX_TEXT_BYTES, read_bytes

_MAX_FILES = 200
_NAMES = ("--flagfile", "-flagfile")
_SHIPPED_NAME = re.compile(r"(configs/)?(?P<name>[\w-]+(/[\w-]+)?)(\.flags)?")
# By the mark at a file's beginning. UTF-16's is what editors on Windows write.
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class FlagLine(str):
    """A flag that a flagfile holds.

    Attributes:
      origin: `FILE:LINE`, for errors.
    """

    origin: str

    def __new__(cls, text: str, origin: str) -> "FlagLine":
        """Return the text with its origin."""
        line = super().__new__(cls, text)
        line.origin = origin
        return line


def origin_of(argument: str) -> str:
    """Return `FILE:LINE: ` for an argument that a flagfile holds, else an empty string."""
    return f"{argument.origin}: " if isinstance(argument, FlagLine) else ""


def expand_flagfiles(arguments: Sequence[str], shipped: Path | None = None) -> list[str]:
    """Return a command line with each `--flagfile=FILE` replaced by the flags in FILE.

    A flagfile holds one flag a line. Blank lines are skipped, and lines that begin with # or //.
    A file that it includes by `--flagfile` is looked up beside it, whatever the current directory.
    Where a flag occurs twice, absl takes the later one, so a file overrides what it has included
    above, and the command line overrides the files that it has named before.

    Args:
      arguments: the command line without the program's name. Nothing after `--` is expanded.
      shipped: the directory of the project's own flagfiles. Where there is no file of the name on
        the command line, it may be one of these: `demo`, `demo.flags` or `configs/demo.flags`.

    Raises:
      UserError: a file can't be read, or includes itself.
    """
    return list(_expanded(list(arguments), shipped))


def is_flagfile(argument: str) -> bool:
    """Return True for an argument that names a flagfile."""
    return argument.partition("=")[0] in _NAMES


def origin_of_error(
    error: Exception, arguments: Iterable[str], parse: Callable[[str], object]
) -> str:
    """Return `FILE:LINE: ` for the line of a flagfile that raises an error; empty for others.

    Args:
      error: what parsing all arguments raised.
      arguments: all of them.
      parse: parses a single one, as the first.
    """
    for argument in arguments:
        if isinstance(argument, FlagLine):
            try:
                parse(argument)
            except Exception as same:  # another error is another line's
                if type(same) is type(error) and str(same) == str(error):
                    return origin_of(argument)
    return ""


def origin_of_flag(message: str, arguments: Iterable[str]) -> str:
    """Return `FILE:LINE: ` for the flag that a message is about; empty if no file sets it.

    Args:
      message: of an error. It begins with the flag, as `--resolution must be ...`, or with the
        path that the flag names, as `photos: no such directory`.
      arguments: the expanded command line. The last that sets a flag counts.
    """
    named = re.match(r"--(\w+)", message)
    names = (named[1], f"no{named[1]}") if named else ()
    given = {}
    for argument in arguments:
        flag, _, value = argument.lstrip("-").partition("=")
        is_path = bool(value) and re.match(rf"{re.escape(os.path.expanduser(value))}[:/]", message)
        given[flag] = argument if flag in names or (not named and is_path) else ""
    return next((origin_of(argument) for argument in given.values() if argument), "")


def read_flagfile(path: str | os.PathLike) -> str:
    """Return the text of a flagfile, in UTF-8 or UTF-16.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a text file.
    """
    data = read_bytes(path, MAX_TEXT_BYTES)
    encoding = next((e for mark, e in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file") from error
    if "\0" in text:
        raise UserError(f"{path}: not a text file in UTF-8 or UTF-16")
    return text


def flag_lines(text: str, source: str) -> list[FlagLine]:
    """Return the lines of a flagfile's text that are neither blank nor comments.

    Args:
      text: the file's.
      source: its path, for errors.
    """
    lines = (FlagLine(line.strip(), f"{source}:{n}") for n, line in enumerate(text.splitlines(), 1))
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _expanded(arguments: list[str], shipped: Path | None) -> Iterator[str]:
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
        path = Path(os.path.expanduser(value))
        file = _shipped_file(value, path, shipped) or path
        yield from _flags_of(file, f"--flagfile={value}", (), number)


def _shipped_file(value: str, path: Path, shipped: Path | None) -> Path | None:
    """Return the project's own flagfile of a name, unless there is a file at its path."""
    match = _SHIPPED_NAME.fullmatch(value)
    if shipped is None or match is None or (path.exists() and not path.is_dir()):
        return None
    file = shipped / f"{match['name']}.flags"
    return file if file.is_file() else None


def _flags_of(
    path: Path, named: str, including: tuple[Path, ...], number: Iterator[int]
) -> Iterator[FlagLine]:
    """Yield the flags of a file.

    Args:
      path: the file.
      named: the place where it is named, for errors.
      including: the files that led here, the one on the command line first.
      number: counts the files of a command line: ten that each include the next one ten times are
        10^10.
    """
    if next(number) > _MAX_FILES:
        raise UserError(f"{named}: files that include more than {_MAX_FILES} others")
    resolved = path.resolve()
    if resolved in (file.resolve() for file in including):
        chain = " -> ".join(str(file) for file in (*including, path))
        raise UserError(f"a flagfile must not include itself. Received: {chain}")
    try:
        lines = flag_lines(read_flagfile(path), str(path))
    except OSError as error:
        raise UserError(f"{named}: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{named}: {str(error).removeprefix(f'{path}: ')}") from error
    for line in lines:
        if is_flagfile(line):
            value = line.partition("=")[2].strip()
            if not value:
                raise UserError(f"{line.origin}: --flagfile needs a file: --flagfile=FILE")
            included = path.parent / os.path.expanduser(value)
            where = f"{line.origin}: --flagfile={value}, looked up beside it"
            yield from _flags_of(included, where, (*including, path), number)
        else:
            yield line
