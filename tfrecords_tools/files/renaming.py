"""Renaming that never loses a file or directory, whenever the process is killed."""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2  # of Linux; RENAME_SWAP of macOS has the same value
_NO_REPLACE = 4 if sys.platform == "darwin" else 1  # RENAME_EXCL of macOS
# The answers of systems, and of file systems such as some NFS, that can do neither.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
# The answers of file systems without hard links, such as FAT.
_NO_LINKS = _UNSUPPORTED | {errno.EPERM, errno.EMLINK, errno.EXDEV}


def _rename_function() -> Callable[[bytes, bytes, int], int] | None:
    """Return the system's call that renames with options; None if it has none."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return library.renamex_np
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return lambda first, second, options: library.renameat2(
            _AT_FDCWD, first, _AT_FDCWD, second, options
        )
    return None


_RENAME = _rename_function()


def _rename(source: Path, target: Path, options: int) -> bool:
    """Rename with options; return False, with nothing changed, where there is no such step."""
    if _RENAME is None:
        return False
    if _RENAME(os.fsencode(source), os.fsencode(target), options) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one step.

    Returns:
      False, with nothing changed, if the system or the file system has no such step.
    """
    return _rename(first, second, _EXCHANGE)


def rename_to_new(source: Path, target: Path) -> bool:
    """Rename a file or directory in one step, unless something is in the way.

    An empty directory is not in the way of a directory.

    Returns:
      False, with nothing changed, if something is.
    """
    is_directory = source.is_dir()
    try:
        if _rename(source, target, _NO_REPLACE):
            return True
    except FileExistsError:
        if not is_directory:
            return False
    return _rename_directory(source, target) if is_directory else _link(source, target)


def _rename_directory(source: Path, target: Path) -> bool:
    try:
        # POSIX replaces no directory that holds anything, and no file by a directory.
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def _link(source: Path, target: Path) -> bool:
    """Rename a file by a second link, which never replaces, or else after a look."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            return False
        source.rename(target)
        return True
    source.unlink()
    return True
