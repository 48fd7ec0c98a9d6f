"""Files that appear whole or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.files.leftovers import new_partial_file, remove_leftovers_once
from tfrecords_tools.files.renaming import rename_to_new

# Files that file managers make in every folder that they show, again and again.
FILE_MANAGER_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_SYSTEM_FILES = FILE_MANAGER_FILES | {
    *("lost+found", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information")
}


@contextlib.contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends without an exception.

    It lies beside `path`, so that becoming it is one rename, and has the same suffix, by which
    libraries choose a format. After an exception it is removed.

    Args:
      path: of the file to be written, in a directory that exists.
      replace: whether a file that exists is replaced.

    Raises:
      UserError: such a file must not be replaced.
    """
    remove_leftovers_once(path.parent)
    temporary, locked = new_partial_file(path)
    try:
        yield temporary
        if replace:
            temporary.replace(path)
        elif not rename_to_new(temporary, path):
            raise UserError(
                f"{path}: another program has made it meanwhile, so it is not replaced; choose"
                " another name"
            )
    finally:
        os.close(locked)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_output_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path that becomes the file that a user named by --output.

    Like `whole_file`, but the directory is made, a link stands for the file that it names, and
    mistakes are reported before the block begins.

    Args:
      path: of the file to be written.
      replace: whether a file that exists is replaced.

    Raises:
      UserError: `path` is a directory, nothing can be written there, or a file has been made there
        that must not be replaced.
    """
    if path.is_dir():
        raise UserError(f"--output={path}: is a directory; a file's name is needed")
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(whole_file(path, replace=replace))
        except OSError as error:
            raise UserError(f"--output={path}: can't be written: {error.strerror}") from error
        yield temporary


def is_system_file(name: str) -> bool:
    """Return whether a name in a user's directory is a hidden one, or one of the system's."""
    return name.startswith(".") or name in _SYSTEM_FILES


def sync(path: Path) -> None:
    """Force a file or directory to the disk, where the file system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # So say some file systems (of networks, or in user space) of directories.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)
