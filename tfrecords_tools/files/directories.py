"""Directories that appear whole or not at all, and replace another without ever losing it."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import logging

from tfrecords_tools.errors import UserError
from tfrecords_tools.files.leftovers import (
    JOURNAL_NAME,
    new_staging_directory,
    partial_name,
    remove_leftovers,
    replaced_name,
    staging_directories,
)
from tfrecords_tools.files.locks import lock
from tfrecords_tools.files.renaming import exchange, rename_to_new
from tfrecords_tools.files.whole import FILE_MANAGER_FILES, sync


@contextlib.contextmanager
def partial_directory(path: Path) -> Iterator[Path]:
    """Yield a new temporary directory beside `path`; it is removed when the block ends.

    Within the block, `replace_directory` may make it `path`. Its name holds this machine's name
    and process number, by which `remove_leftovers` knows the ones of killed processes.

    Args:
      path: of a directory, which need not exist, in one that does.
    """
    temporary = path.with_name(partial_name(path))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def filled_directory(output: Path) -> Iterator[None]:
    """Make a directory that the block fills with files, and let no other process fill it.

    If it is new, and empty at the end, it is removed.

    Raises:
      UserError: another process is filling it, or nothing can be written there.
    """
    new = [path for path in (output, *output.parents) if not path.exists()]
    try:
        opened = _claim(output)
        try:
            yield
        finally:
            os.close(opened)
    finally:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()


def _claim(output: Path) -> int:
    """Make a directory that can be written to, and lock it; return the descriptor."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
        opened = os.open(output, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"--output={output}: can't be written: {error.strerror}") from error
    try:
        lock(opened)
    except BlockingIOError as error:
        os.close(opened)
        raise UserError(
            f"--output={output}: another process is writing to it; name another directory"
        ) from error
    return opened


def replace_directory(source: Path, target: Path) -> None:
    """Rename a directory to `target`, in place of the directory that may be there.

    In one step where the file system can; elsewhere a killed process may leave `target` under
    another name, which `remove_leftovers` knows.
    """
    if not rename_to_new(source, target):
        remove = _swap(source, target)
        sync(target.parent)
        shutil.rmtree(remove)
    sync(target.parent)


def _swap(source: Path, target: Path) -> Path:
    """Rename `source` to `target`; return the new path of the directory that was there."""
    if exchange(source, target):
        return source
    replaced = target.with_name(replaced_name(target))
    opened = os.open(target, os.O_RDONLY)
    try:
        with contextlib.suppress(BlockingIOError):  # then it is no leftover either
            lock(opened)
        target.rename(replaced)
        try:
            source.rename(target)
        except BaseException:
            replaced.rename(target)
            raise
    finally:
        os.close(opened)
    return replaced


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
    """Finish what killed processes began beside an output directory, which must not be a link.

    Raises:
      UserError: it is a symbolic link.
    """
    _refuse_link(output)
    remove_leftovers(output.parent, output=output.name)


@contextlib.contextmanager
def staged_directory(
    output: Path,
    resume: Callable[[Path], bool] | None = None,
    *,
    check: Callable[[], None] | None = None,
) -> Iterator[Path]:
    """Yield a temporary directory that becomes `output` when the block ends without an exception.

    It lies beside `output`, so that replacing that is one rename. After an exception, Ctrl-C
    included, it is removed; after kill -9 the next run for the same output removes it.

    Args:
      output: absolute. If it holds files they are replaced only with `check`.
      resume: called with a directory that an interrupted run left; returns True if it is the
        beginning of the same output, and is continued. With `resume` the directory stays after an
        exception if it has a journal (`JOURNAL_NAME`), which is removed when the directory is
        whole; without, no directory is continued.
      check: called again before `output` is replaced; raises UserError if that is not allowed, as
        `check_output` does.

    Raises:
      UserError: nothing can be written there, an interrupted run began another output, or somebody
        has written something else there in the meantime.
    """
    _refuse_link(output)
    made = _make_parents(output)
    try:
        staging, locked = _find_abandoned(output, resume)
        if staging is None:
            staging, locked = _make_staging(output)
        try:
            yield staging
            _move_into_place(staging, output, check)
        except BaseException:
            if resume is None or not (staging / JOURNAL_NAME).exists():
                shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            os.close(locked)
    except BaseException:
        for directory in made:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def _move_into_place(staging: Path, output: Path, check: Callable[[], None] | None) -> None:
    for path in staging.iterdir():
        sync(path)
    sync(staging)
    staging.chmod(0o777 & ~_umask())  # until then it is known for a leftover of ours
    if not rename_to_new(staging, output):
        _replace_checked(staging, output, check)
    # Only now: until the directory has its name, the journal makes it one to be continued.
    (output / JOURNAL_NAME).unlink(missing_ok=True)
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
        return new_staging_directory(output)
    except OSError as error:
        raise UserError(
            f"--output={output}: cannot write in {output.parent}: {error.strerror}"
        ) from error


def _find_abandoned(output: Path, resume: Callable[[Path], bool] | None) -> tuple[Path | None, int]:
    """Find the directories that killed runs for this output left: no process has locked them.

    Returns:
      The directory to be continued, and its lock; (None, -1) if there is none. Others are removed.
    """
    found: tuple[Path | None, int] = (None, -1)
    for path in staging_directories(output):
        with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
            opened = os.open(path, os.O_RDONLY)
            try:
                is_locked = lock(opened)
                can_be_continued = (path / JOURNAL_NAME).exists()
                if resume is None or not can_be_continued:
                    # Without locks, another process may be at work there.
                    if is_locked:
                        _remove_abandoned(path, can_be_continued=can_be_continued)
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


def _remove_abandoned(path: Path, *, can_be_continued: bool) -> None:
    if can_be_continued:
        logging.warning(
            "%s: removed; an interrupted run left it, and --resume would have continued it", path
        )
    shutil.rmtree(path, ignore_errors=True)


def _is_own_file(path: Path) -> bool:
    """Return True for a regular file, through which nothing outside its directory is written."""
    return stat.S_ISREG(path.lstat().st_mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
