"""The directory that a command's `--output` names."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import filled_directory, is_system_file


@contextlib.contextmanager
def output_directory(output: Path, *, overwrite: bool) -> Iterator[None]:
    """Make a directory that the block fills with files; see `filled_directory`.

    Args:
      output: the directory.
      overwrite: accept one that holds files already.

    Raises:
      UserError: it is a file, holds files already, or can't be written to.
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
        yield
