"""Renaming of directories that never loses one of them, whenever the process is killed."""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # of Linux; RENAME_SWAP of macOS has the same value
# The answers of systems, and of file systems such as some NFS, that can't exchange.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def _exchange_function() -> Callable[[bytes, bytes], int] | None:
    """Return the system's call that exchanges two paths; None if it has none."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return lambda first, second: library.renamex_np(first, second, _RENAME_EXCHANGE)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return lambda first, second: library.renameat2(
            _AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE
        )
    return None


_EXCHANGE = _exchange_function()


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one step.

    Returns:
      False, with nothing changed, if the system or the file system has no such step.
    """
    if _EXCHANGE is None:
        return False
    if _EXCHANGE(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))


def rename_to_new(source: Path, target: Path) -> bool:
    """Rename a directory in one step, unless something is in the way; an empty directory is not.

    Returns:
      False, with nothing changed, if `target` is a file, a link, or a directory that holds files.
    """
    try:
        # POSIX replaces no directory that holds anything, and no file by a directory.
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True
