"""Zip archives that others have written, `.keras` and `.npz`: their members' sizes are bounded.

A megabyte of zip can unpack to a gigabyte, which Keras and NumPy would read whole.
"""

import contextlib
import errno
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted.regular_file import open_regular

_MAX_TEXT_BYTES = 1 << 26
# Weights hardly compress, but initial zeros do.
_MAX_RATIO, _ALWAYS_ALLOWED_BYTES = 20, 1 << 28


@contextlib.contextmanager
def open_archive(path: str | os.PathLike, suffix: str) -> Iterator[zipfile.ZipFile]:
    """Yield an archive after checking what it unpacks to.

    Args:
      path: the file's.
      suffix: of such files, for errors.

    Raises:
      OSError: there is no such file, or it can't be read.
      UserError: it is not a file or no archive; or, in the block as well, it is damaged.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            size = os.fstat(file.fileno()).st_size
            _check_sizes(archive, size)
            yield archive
    except UserError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: not a {suffix} file, or damaged: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset before the file
            raise
        raise UserError(f"{path}: not a {suffix} file, or damaged: {error.strerror}") from error
    except RuntimeError as error:  # an encrypted member
        raise UserError(f"{path}: not a {suffix} file: {error}") from error


def open_keras_archive(
    path: str | os.PathLike,
) -> contextlib.AbstractContextManager[zipfile.ZipFile]:
    """Yield the archive of a `.keras` file; see `open_archive`."""
    return open_archive(path, ".keras")


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    total = 0
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(f"{member.filename} is compressed in another way")
        is_text = Path(member.filename).suffix == ".json"
        if is_text and member.file_size > _MAX_TEXT_BYTES:
            raise zipfile.BadZipFile(f"{member.filename} unpacks to {member.file_size} bytes")
        total += member.file_size
    if total > max(_MAX_RATIO * size, _ALWAYS_ALLOWED_BYTES):
        raise zipfile.BadZipFile(f"{size} bytes that unpack to {total}")
