"""The directory that a command's `--output` names."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import filled_directory, is_system_file

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def output_directory(output: Path, *, overwrite: bool) -> Iterator[None]:
    """Make a directory that the block fills with files; see `filled_directory`.

    Args:
      output: the directory.
      overwrite: accept one that holds files already.

    Raises:
      UserError: it is a file, holds files already, can't be written to, or its disk is full.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"--output must be a directory. Received: {output}, a file")
    with filled_directory(output):
        held = [path.name for path in sorted(output.iterdir()) if not is_system_file(path.name)]
        if held and not overwrite:
            raise UserError(
                f"--output={output} holds files already ({held[0]}); name another directory, or "
                "give --overwrite"
            )
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL or error.filename:
                raise
            raise UserError(f"--output={output}: can't be written: {error.strerror}") from error
