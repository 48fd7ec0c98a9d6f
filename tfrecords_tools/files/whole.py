"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError

# Part of the name of everything that is unfinished, or that a killed process left unfinished.
_PARTIAL = ".partial"
# `.grid.1f0c3a5e.partial.png`; earlier versions also wrote `.grid.png.123.partial`.
# Files that file managers make in every folder that they show, again and again.
FILE_MANAGER_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_SYSTEM_FILES = FILE_MANAGER_FILES | {
    *("lost+found", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information")
}
_PARTIAL_FILE = re.compile(r"\..+\.([0-9a-f]{8}|[0-9]+)\.partial(\.[^.]+)?")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends without an exception.

    It lies beside `path`, so that replacing it is one rename, and has the same suffix, by which
    libraries choose a format. After an exception it is removed.

    Args:
      path: of the file to be written, in a directory that exists.
    """
    # At random, because containers that share a disk may share process numbers too.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{_PARTIAL}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_output_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes the file that a user named by --output.

    Like `whole_file`, but the directory is made, a link stands for the file that it names, and
    mistakes are reported before the block begins.

    Args:
      path: of the file to be written; replaced if it exists.

    Raises:
      UserError: `path` is a directory, or nothing can be written there.
    """
    if path.is_dir():
        raise UserError(f"--output={path}: is a directory; a file's name is needed")
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(whole_file(path))
            temporary.touch()
        except OSError as error:
            raise UserError(f"--output={path}: can't be written: {error.strerror}") from error
        yield temporary


def is_system_file(name: str) -> bool:
    """Return whether a name in a user's directory is a hidden one, or one of the system's."""
    return name.startswith(".") or name in _SYSTEM_FILES


def is_partial_file(path: Path) -> bool:
    """Return whether a name is one of `whole_file`'s temporary names, of any version."""
    return _PARTIAL_FILE.fullmatch(path.name) is not None


def remove_partial_files(directory: Path) -> None:
    """Remove the files that killed processes left unfinished in a directory.

    Only for a directory that no other process is writing to.
    """
    for path in directory.glob(f".*{_PARTIAL}*"):
        if is_partial_file(path) and not path.is_dir():
            path.unlink(missing_ok=True)


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
