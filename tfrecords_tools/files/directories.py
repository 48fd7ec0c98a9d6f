"""Directories that appear whole or not at all, and replace another without ever losing it."""

import contextlib
import glob
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.files.locks import lock
from tfrecords_tools.files.renaming import exchange, rename_to_new
from tfrecords_tools.files.whole import FILE_MANAGER_FILES, sync

# End of the names of unfinished directories of `partial_directory`.
_PARTIAL = ".partial"
# Of `staged_directory`, after its output's name; `tempfile` adds 8 letters.
_STAGING = ".partial-"


@contextlib.contextmanager
def partial_directory(path: Path) -> Iterator[Path]:
    """Yield a new temporary directory beside `path`; it is removed when the block ends.

    Within the block, `replace_directory` may make it `path`. Its name holds this machine's name
    and process number, by which `remove_partial_directories` knows the ones of killed processes.

    Args:
      path: of a directory, which need not exist, in one that does.
    """
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}{_PARTIAL}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_directory(source: Path, target: Path) -> None:
    """Rename a directory to `target`, in place of the directory that may be there.

    In one step where the file system can; elsewhere a killed process may leave `target` under
    another name, which `put_back_replaced` knows.
    """
    if not rename_to_new(source, target):
        remove = _swap(source, target)
        sync(target.parent)
        shutil.rmtree(remove)
    sync(target.parent)


def put_back_replaced(target: Path) -> None:
    """Undo or complete the replacement of a directory that a killed process began.

    Only where no other process is replacing it.
    """
    name = re.escape(target.name)
    pattern = re.compile(rf"\.{name}\.[0-9a-f]{{8}}\.replaced")
    for replaced in _directories_beside(target, pattern):
        if os.path.lexists(target):
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(target)


def _swap(source: Path, target: Path) -> Path:
    """Rename `source` to `target`; return the new path of the directory that was there."""
    if exchange(source, target):
        return source
    replaced = target.with_name(f".{target.name}.{secrets.token_hex(4)}.replaced")
    target.rename(replaced)
    try:
        source.rename(target)
    except BaseException:
        replaced.rename(target)
        raise
    return replaced


def remove_partial_directories(directory: Path) -> None:
    """Remove the directories of `partial_directory` that killed processes of this machine left."""
    for path in directory.glob(f".*.{glob.escape(socket.gethostname())}.*{_PARTIAL}"):
        try:
            os.kill(int(path.name.split(".")[-2]), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except (ValueError, PermissionError):
            continue


def check_output(
    output: Path,
    overwrite: bool,
    *,
    belongs: Callable[[Path], bool],
    content: str,
) -> None:
    """Refuse an output directory that exists or can't be made.

    Args:
      output: the directory, as an absolute path. It may exist if it is empty.
      overwrite: accept a directory that an earlier run made there.
      belongs: called with the path of each entry; returns True if such a run may have written it.
        A directory with any other entry is never replaced.
      content: of the directory, for errors.

    Raises:
      UserError: names the obstacle.
    """
    if not output.name:
        raise UserError(f"--output must name a new directory. Received: {output}")
    settle_output(output)
    parent = _existing_ancestor(output)
    if not parent.is_dir():
        raise UserError(f"--output={output}: {parent} is a file, not a directory")
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise UserError(f"--output={output}: a file of that name exists")
    held = [path for path in output.iterdir() if path.name not in FILE_MANAGER_FILES]
    strangers = [path.name for path in held if not belongs(path)]
    if strangers:
        raise UserError(
            f"--output={output}: exists and holds files that are not part of {content}, so it"
            f" is never replaced; choose a new directory. Received: one with {min(strangers)}"
        )
    if not overwrite and held:
        raise UserError(f"--output={output}: exists already; --overwrite replaces it")


def settle_output(output: Path) -> None:
    """Finish what a killed process began with an output directory, which must not be a link.

    Raises:
      UserError: it is a symbolic link.
    """
    _refuse_link(output)
    put_back_replaced(output)


@contextlib.contextmanager
def staged_directory(
    output: Path,
    resume: Callable[[Path], bool] | None = None,
    *,
    journal: str = "",
    check: Callable[[], None] | None = None,
) -> Iterator[Path]:
    """Yield a temporary directory that becomes `output` when the block ends without an exception.

    It lies beside `output`, so that replacing that is one rename. After an exception, Ctrl-C
    included, it is removed; after kill -9 the next run for the same output removes it.

    Args:
      output: absolute. If it holds files they are replaced only with `check`.
      resume: called with a directory that an interrupted run left; returns True if it is the
        beginning of the same output, and is continued. With `resume` the directory stays after an
        exception if it has a journal; without, no directory is continued.
      journal: name of a file in the directory that records progress, with `resume`; removed when
        the directory is whole.
      check: called again before `output` is replaced; raises UserError if that is not allowed, as
        `check_output` does.

    Raises:
      UserError: nothing can be written there, an interrupted run began another output, or somebody
        has written something else there in the meantime.
    """
    _refuse_link(output)
    made = _make_parents(output)
    try:
        staging, locked = _find_abandoned(output, resume, journal)
        if staging is None:
            staging, locked = _make_staging(output)
        try:
            yield staging
            staging.chmod(0o777 & ~_umask())
            _move_into_place(staging, output, journal, check)
        except BaseException:
            if resume is None or not (staging / journal).exists():
                shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            os.close(locked)
    except BaseException:
        for directory in made:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def _move_into_place(
    staging: Path, output: Path, journal: str, check: Callable[[], None] | None
) -> None:
    for path in staging.iterdir():
        sync(path)
    sync(staging)
    if not rename_to_new(staging, output):
        _replace_checked(staging, output, check)
    if journal:
        # Only now: until the directory has its name, the journal makes it one to be continued.
        (output / journal).unlink(missing_ok=True)
    sync(output.parent)


def _replace_checked(staging: Path, output: Path, check: Callable[[], None] | None) -> None:
    """Replace a directory, unless others have written to it since it was checked."""
    _refuse_link(output)
    if check is None:
        raise _appeared(output)
    before = _fingerprint(output)
    check()
    remove = _swap(staging, output)
    if _fingerprint(remove) != before:
        finished = _swap(remove, output)
        if finished != staging:
            finished.rename(staging)
        raise _appeared(output)
    sync(output.parent)
    shutil.rmtree(remove, ignore_errors=True)


def _fingerprint(directory: Path) -> tuple[int, int, list[str]]:
    """Return what tells a directory, and its files' names, from another."""
    if not directory.is_dir():
        raise UserError(f"--output={directory}: a file of that name has been made meanwhile")
    status = directory.stat()
    return status.st_dev, status.st_ino, sorted(os.listdir(directory))


def _appeared(output: Path) -> UserError:
    return UserError(
        f"--output={output}: another program has written to it meanwhile, so it is not replaced;"
        " choose a new directory"
    )


def _refuse_link(output: Path) -> None:
    if output.is_symlink():
        raise UserError(
            f"--output={output}: is a symbolic link, which is never replaced; name the directory"
            f" that is meant. Received: a link to {os.readlink(output)}"
        )


def _existing_ancestor(path: Path) -> Path:
    return next(parent for parent in path.parents if os.path.lexists(parent))


def _make_parents(output: Path) -> list[Path]:
    """Make the directories above `output`; return the new ones, deepest first."""
    missing = [parent for parent in output.parents if not parent.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output={output}: cannot make {output.parent}: {error.strerror}"
        ) from error
    return missing


def _make_staging(output: Path) -> tuple[Path, int]:
    """Make a temporary directory, locked as long as this process lives."""
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{output.name}{_STAGING}", dir=output.parent))
    except OSError as error:
        raise UserError(
            f"--output={output}: cannot write in {output.parent}: {error.strerror}"
        ) from error
    opened = os.open(staging, os.O_RDONLY)
    lock(opened)
    return staging, opened


def _find_abandoned(
    output: Path, resume: Callable[[Path], bool] | None, journal: str
) -> tuple[Path | None, int]:
    """Find the directories that killed runs for this output left: no process has locked them.

    Returns:
      The directory to be continued, and its lock; (None, -1) if there is none. Others are removed.
    """
    pattern = re.compile(re.escape(f".{output.name}{_STAGING}") + "[a-z0-9_]{8}")
    found: tuple[Path | None, int] = (None, -1)
    for path in _directories_beside(output, pattern):
        with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
            opened = os.open(path, os.O_RDONLY)
            try:
                is_locked = lock(opened)
                if resume is None or not (path / journal).exists():
                    # Without locks, another process may be at work there.
                    if is_locked:
                        shutil.rmtree(path, ignore_errors=True)
                elif not all(_is_own_file(file) for file in path.iterdir()):
                    raise UserError(
                        f"--output={output}: {path}, which an earlier run left, holds links or"
                        " directories that it did not make; remove it"
                    )
                elif not resume(path):
                    raise UserError(
                        f"--output={output}: what an earlier run left in {path} was begun with"
                        " other flags, or from another input; leave out --resume to begin again"
                    )
                elif found[0] is None:
                    found = path, os.dup(opened)
            finally:
                os.close(opened)
    return found


def _directories_beside(path: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the directories beside a path whose names match, links left out, in order."""
    try:
        beside = [other for other in path.parent.iterdir() if pattern.fullmatch(other.name)]
    except OSError:  # no such directory yet, or one that may be written to but not listed
        return []
    return sorted(other for other in beside if other.is_dir() and not other.is_symlink())


def _is_own_file(path: Path) -> bool:
    """Return True for a regular file, through which nothing outside its directory is written."""
    return stat.S_ISREG(path.lstat().st_mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
