"""Files and directories that appear whole or not at all."""

import contextlib
import fcntl
import glob
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError

# Part of the name of everything that is unfinished, or that a killed process left unfinished.
_PARTIAL = ".partial"
# `.grid.1f0c3a5e.partial.png`; earlier versions also wrote `.grid.png.123.partial`.
_PARTIAL_FILE = re.compile(r"\..+\.partial(\.[^.]+)?")


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

    Like `whole_file`, but the directory is made, and mistakes are reported before the block begins.

    Args:
      path: of the file to be written; replaced if it exists.

    Raises:
      UserError: `path` is a directory, or nothing can be written there.
    """
    if path.is_dir():
        raise UserError(f"--output={path}: is a directory; a file's name is needed")
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(whole_file(path))
            temporary.touch()
        except OSError as error:
            raise UserError(f"--output={path}: can't be written: {error.strerror}") from error
        yield temporary


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
    """Rename a directory to `target`, in place of the directory that may be there."""
    if not target.exists():
        source.rename(target)
        sync(target.parent)
        return
    replaced = target.with_name(f".{target.name}.{secrets.token_hex(4)}.replaced")
    target.rename(replaced)
    source.rename(target)
    sync(target.parent)
    shutil.rmtree(replaced)


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
    belongs: Callable[[str, str], bool],
    content: str,
) -> None:
    """Refuse an output directory that exists or can't be made.

    Args:
      output: the directory, as an absolute path. It may exist if it is empty.
      overwrite: accept a directory that an earlier run made there.
      belongs: called with the names of a file and of its directory; returns True if such a run may
        have written the file. A directory with any other file is never replaced.
      content: of the directory, for errors.

    Raises:
      UserError: names the obstacle.
    """
    if not output.name:
        raise UserError(f"--output must name a new directory. Received: {output}")
    parent = _existing_ancestor(output)
    if not parent.is_dir():
        raise UserError(f"--output={output}: {parent} is a file, not a directory")
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise UserError(f"--output={output}: a file of that name exists")
    strangers = [path.name for path in output.iterdir() if not belongs(path.name, output.name)]
    if strangers:
        raise UserError(
            f"--output={output}: exists and holds files that are not part of {content}, so it"
            f" is never replaced; choose a new directory. Received: one with {min(strangers)}"
        )
    if not overwrite and any(output.iterdir()):
        raise UserError(f"--output={output}: exists already; --overwrite replaces it")


@contextlib.contextmanager
def staged_directory(
    output: Path, resume: Callable[[Path], bool] | None = None, *, journal: str = ""
) -> Iterator[Path]:
    """Yield a temporary directory that becomes `output` when the block ends without an exception.

    It lies beside `output`, so that replacing that is one rename. After an exception, Ctrl-C
    included, it is removed; after kill -9 the next run for the same output removes it.

    Args:
      output: absolute; replaced if it exists, so `check_output` comes first.
      resume: called with a directory that an interrupted run left; returns True if it is the
        beginning of the same output, and is continued. With `resume` the directory stays after an
        exception if it has a journal; without, no directory is continued.
      journal: name of a file in the directory that records progress, with `resume`; removed when
        the directory is whole.

    Raises:
      UserError: nothing can be written there, or an interrupted run began another output.
    """
    made = _make_parents(output)
    try:
        staging, lock = _find_abandoned(output, resume, journal)
        if staging is None:
            staging, lock = _make_staging(output)
        try:
            yield staging
            staging.chmod(0o777 & ~_umask())
            _move_into_place(staging, output, journal)
        except BaseException:
            if resume is None or not (staging / journal).exists():
                shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            os.close(lock)
    except BaseException:
        for directory in made:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def sync(path: Path) -> None:
    """Force a file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(staging: Path, output: Path, journal: str) -> None:
    for path in staging.iterdir():
        sync(path)
    if journal:
        (staging / journal).unlink(missing_ok=True)
    sync(staging)
    replace_directory(staging, output)


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
        staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.partial-", dir=output.parent))
    except OSError as error:
        raise UserError(
            f"--output={output}: cannot write in {output.parent}: {error.strerror}"
        ) from error
    lock = os.open(staging, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return staging, lock


def _find_abandoned(
    output: Path, resume: Callable[[Path], bool] | None, journal: str
) -> tuple[Path | None, int]:
    """Find the directories that killed runs for this output left: no process has locked them.

    Returns:
      The directory to be continued, and its lock; (None, -1) if there is none. Others are removed.
    """
    pattern = glob.escape(str(output.parent / f".{output.name}.partial-")) + "*"
    found: tuple[Path | None, int] = (None, -1)
    for abandoned in sorted(glob.glob(pattern)):
        path = Path(abandoned)
        with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if resume is None or not (path / journal).exists():
                    shutil.rmtree(path, ignore_errors=True)
                elif not resume(path):
                    raise UserError(
                        f"--output={output}: what an earlier run left in {path} was begun with"
                        " other flags, or from another input; leave out --resume to begin again"
                    )
                elif found[0] is None:
                    found = path, os.dup(lock)
            finally:
                os.close(lock)
    return found


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
