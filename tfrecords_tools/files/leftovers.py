"""Unfinished files and directories that killed processes left, removed at the next start.

They are known by names of our own, and by locks that end with the process that holds them. Nothing
else is touched, and links are not followed.
"""

import contextlib
import functools
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from tfrecords_tools.files.locks import lock
from tfrecords_tools.files.renaming import rename_to_new

# Lies in an unfinished directory that can be continued, and is removed when that is whole.
JOURNAL_NAME = "progress.jsonl"
# Part of the name of everything that is unfinished.
_PARTIAL = ".partial"
# `.grid.1f0c3a5e.partial.png`; earlier versions also wrote `.grid.png.123.partial`.
_PARTIAL_FILE = re.compile(r"\..+\.([0-9a-f]{8}|[0-9]+)\.partial(\.[^.]+)?")
# After its output's name; `tempfile` adds 8 letters.
_STAGING = ".partial-"
_STAGING_DIRECTORY = re.compile(r"\.(?P<output>.+)\.partial-[a-z0-9_]{8}")
_REPLACED_DIRECTORY = re.compile(r"\.(?P<output>.+)\.[0-9a-f]{8}\.replaced")
# Of `partial_name`. A machine's name may hold dots, but only this machine's matters.
_PROCESS_DIRECTORY = re.compile(
    rf"\..+\.{re.escape(socket.gethostname())}\.(?P<process>[0-9]+)\.partial"
)
# Where there are no locks, no process works on a file that is unfinished for so many seconds.
_OLD_SECONDS = 86400


def new_partial_file(path: Path) -> tuple[Path, int]:
    """Make an empty file that is to become `path`, locked as long as this process lives.

    Returns:
      Its path, with the same suffix, and an open descriptor that holds the lock.
    """
    while True:
        # At random, because containers that share a disk may share process numbers too.
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{_PARTIAL}{path.suffix}")
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        if _lock_new(temporary, descriptor):
            return temporary, descriptor


def new_staging_directory(output: Path) -> tuple[Path, int]:
    """Make a directory that is to become `output`, locked as long as this process lives.

    Returns:
      Its path beside `output`, and an open descriptor that holds the lock.
    """
    while True:
        made = tempfile.mkdtemp(prefix=f".{output.name}{_STAGING}", dir=output.parent)
        descriptor = os.open(made, os.O_RDONLY)
        if _lock_new(Path(made), descriptor):
            return Path(made), descriptor


def _lock_new(path: Path, descriptor: int) -> bool:
    """Lock what has just been made, unless another process took it for a leftover."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        lock(descriptor)
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return True
    os.close(descriptor)
    return False


def partial_name(path: Path) -> str:
    """Return a name for an unfinished directory, by machine and process."""
    return f".{path.name}.{socket.gethostname()}.{os.getpid()}{_PARTIAL}"


def replaced_name(path: Path) -> str:
    """Return a name for a directory that makes way for another."""
    return f".{path.name}.{secrets.token_hex(4)}.replaced"


def staging_directories(output: Path) -> list[Path]:
    """Return the directories that were made for an output, by running processes or others."""
    matches = ((path, _STAGING_DIRECTORY.fullmatch(path.name)) for path in _entries(output.parent))
    return sorted(
        path
        for path, match in matches
        if match and match["output"] == output.name and _is_directory(path)
    )


def remove_leftovers(directory: Path, *, output: str = "") -> None:
    """Remove what killed processes left unfinished in a directory; put back what they moved aside.

    Unfinished directories that can be continued are kept, and named once.

    Args:
      directory: in which a command begins to write; need not exist.
      output: name of the directory that it writes, whose unfinished ones `staged_directory` finds.
    """
    for path in _entries(directory):
        if not path.name.startswith("."):
            continue
        with contextlib.suppress(OSError):
            if _PARTIAL_FILE.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
                _remove_file(path)
            elif _is_directory(path):
                _remove_directory(path, output)


@functools.cache  # once a process
def remove_leftovers_once(directory: Path) -> None:
    """Remove leftovers before this process first writes a file to a directory."""
    remove_leftovers(directory)


def _remove_file(path: Path) -> None:
    with _held(path) as is_locked:
        if is_locked or time.time() - path.stat().st_mtime > _OLD_SECONDS:
            path.unlink(missing_ok=True)


def _remove_directory(path: Path, output: str) -> None:
    if match := _REPLACED_DIRECTORY.fullmatch(path.name):
        with _held(path) as is_locked:
            _put_back(path, path.with_name(match["output"]), is_locked=is_locked)
    elif match := _STAGING_DIRECTORY.fullmatch(path.name):
        if match["output"] == output or not _is_made_by_us(path):
            return
        with _held(path) as is_locked:
            if is_locked and (path / JOURNAL_NAME).exists():
                _name_unfinished(path, path.with_name(match["output"]))
            elif is_locked:
                shutil.rmtree(path, ignore_errors=True)
    elif (match := _PROCESS_DIRECTORY.fullmatch(path.name)) and not _is_running(match["process"]):
        shutil.rmtree(path, ignore_errors=True)


def _put_back(replaced: Path, target: Path, *, is_locked: bool) -> None:
    # Without locks, only what is lost otherwise.
    if not rename_to_new(replaced, target) and is_locked:
        shutil.rmtree(replaced, ignore_errors=True)


@functools.cache  # once a process
def _name_unfinished(path: Path, output: Path) -> None:
    logging.warning(
        "%s: an interrupted command left it, with a part of %s. The same command continues it with"
        " --resume, and removes it without",
        path,
        output,
    )


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Lock a file or directory within the block; yield False if the file system has no locks.

    Raises:
      BlockingIOError: a running process has locked it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield lock(descriptor)
    finally:
        os.close(descriptor)


def _is_made_by_us(path: Path) -> bool:
    """Return whether `tempfile` may have made a directory, for this user."""
    status = path.lstat()
    return stat.S_IMODE(status.st_mode) == 0o700 and status.st_uid == os.geteuid()


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:  # no such directory yet, or one that may be written to but not listed
        return []
