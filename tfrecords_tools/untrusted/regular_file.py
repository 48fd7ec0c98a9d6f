"""Files that others have written, opened only if they are regular, and read within bounds.

A pipe in the place of a file would make a command wait for ever, and a device may never end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from tfrecords_tools.errors import UserError

# Far more than any text file of the project: flagfiles, tables of attributes, JSON.
MAX_TEXT_BYTES = 1 << 28


def open_regular(path: str | os.PathLike, *, buffering: int = -1) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes.

    Args:
      path: the file's.
      buffering: as `open` takes it.

    Raises:
      FileNotFoundError: there is no such file; a link that leads nowhere is one.
      OSError: it can't be opened.
      UserError: it is a directory, a pipe, a device or a socket.
    """
    try:
        # Without waiting: a pipe is opened, and refused, at once.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        _require_regular(path, os.stat(path).st_mode)  # a socket can't be opened at all
        raise
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def require_regular(path: str | os.PathLike) -> None:
    """Refuse anything but a regular file, or a link to one, before a library opens it.

    Raises:
      OSError: there is no such file, or its directory can't be read.
      UserError: it is a directory, a pipe, a device or a socket.
    """
    _require_regular(path, os.stat(path).st_mode)


def read_bytes(path: str | os.PathLike, max_bytes: int) -> bytes:
    """Read a regular file whole.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file, or holds more than `max_bytes`.
    """
    with open_regular(path, buffering=0) as file:
        require_size(path, file, max_bytes)
        return file.read(max_bytes)


def require_size(path: str | os.PathLike, file: BinaryIO, max_bytes: int) -> None:
    """Refuse an open file of more than `max_bytes`.

    Raises:
      UserError: it is larger.
    """
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
        raise UserError(f"{path}: must hold at most {max_bytes} bytes. Received: {size} bytes")


def read_text(path: str | os.PathLike, *, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Read a regular file of text whole; see `read_bytes`.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file, is not text, or is larger than any text file of the project.
    """
    data = read_bytes(path, MAX_TEXT_BYTES)
    try:
        return data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file ({error})") from error


def _require_regular(path: str | os.PathLike, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(mode), "something else")
    raise UserError(f"{Path(path)}: must be a file. Received: {kind}")
