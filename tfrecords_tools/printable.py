"""Names from files and data, as text that any terminal and any file can take."""

import re
import sys
from collections.abc import Callable

_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: object, escape: Callable[[str], str] | None = None) -> str:
    """Return text with everything escaped that a terminal would obey rather than show.

    File names and class names may hold control characters, line ends, marks that turn the
    direction of writing, and bytes that are no UTF-8.

    Args:
      text: the text, or an object whose text is meant.
      escape: returns the text for such a character; by default a backslash and its number.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    escape = escape or _escaped
    return "".join(c if c.isprintable() else escape(c) for c in shown)


def encodable(text: str) -> str:
    """Return text with bytes of file names that are no UTF-8 escaped, as hexadecimal digits."""
    return _SURROGATE.sub(lambda match: _escaped(match[0]), text)


def counted(number: int, noun: str) -> str:
    """Return a number with a noun: `1 image`, `2 images`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say(*lines: str) -> None:
    """Print lines to stdout at once; names in them, which may hold line ends, are made printable.

    A stranger's name must not look like a line of the command's own.
    """
    print("\n".join(map(printable, lines)), flush=True)


def escape_for_streams() -> None:
    """Let stdout and stderr escape what their encoding lacks, such as that of ASCII terminals."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte of a file name, as os.fsdecode returns it
    return f"\\x{code:02x}" if code < 256 else ascii(character)[1:-1]
