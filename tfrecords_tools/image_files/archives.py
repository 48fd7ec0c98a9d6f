"""Image files inside .zip, .tar and .tar.gz archives.

Archives are read in place; nothing is unpacked to disk. A member's name is only a name: no file of
that name is ever opened, even if it says `../..`.
"""

import contextlib
import dataclasses
import errno
import functools
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import is_system_file
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import ImageFile
from tfrecords_tools.image_files.files import HEAD_BYTES, NamedImageFiles, open_folder
from tfrecords_tools.image_files.gzip_access import GzipAccess
from tfrecords_tools.printable import counted
from tfrecords_tools.untrusted.regular_file import open_regular, require_regular

_ZIP_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ZIP_MAGIC = b"PK\x03\x04"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_MAX_HEADER_BYTES = 1 << 24


@dataclasses.dataclass(frozen=True)
class _Archive:
    """Members of an archive as `NamedImageFiles`; each format reads them in its own way.

    Attributes:
      root: the archive.
      names: members' names, sorted.
      ignored: number of members with other extensions.
      places: [n k] int64, one row for each member. The first column is an offset in bytes, the
        second the unpacked size in bytes; formats add columns of their own.
    """

    root: Path
    names: tuple[str, ...]
    ignored: int
    places: np.ndarray

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.names)

    def display_name(self, index: int) -> str:
        """The archive's path and the member's name."""
        return f"{self.root}: {self.names[index]}"

    def open(self, index: int, max_bytes: int) -> ImageFile:
        """Return a member's bytes in memory."""
        size = int(self.places[index, 1])
        if size > max_bytes:
            raise BadImageError(
                self.display_name(index),
                f"unpacks to {size} bytes, more than an image within --max_pixels takes"
                f" ({max_bytes})",
            )
        return io.BytesIO(self._read(index, size))

    def head(self, index: int, max_bytes: int) -> ImageFile:
        """Return a member's first bytes in memory."""
        return io.BytesIO(self._read(index, min(HEAD_BYTES, int(self.places[index, 1]))))

    def reading_order(self) -> np.ndarray:
        """Member numbers in the order of the archive."""
        return np.argsort(self.places[:, 0], kind="stable")

    def _read(self, index: int, size: int) -> bytes:
        try:
            data = self._unpack(index, size)
        except (zlib.error, EOFError) as error:
            raise self._damaged(index, str(error)) from error
        if len(data) != size:
            raise self._damaged(index, f"{len(data)} bytes of {size}")
        return data

    def _unpack(self, index: int, size: int) -> bytes:
        raise NotImplementedError

    def _damaged(self, index: int, reason: str) -> BadImageError:
        return BadImageError(self.display_name(index), f"is damaged in the archive: {reason}")

    @functools.cached_property
    def _file(self) -> BinaryIO:
        return open_regular(self.root)

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files out: each worker opens the archive for itself."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


class ZipFiles(_Archive):
    """Members of a .zip file. `places`: local header's offset, size, packed size, method, CRC."""

    def _unpack(self, index: int, size: int) -> bytes:
        offset, whole, packed, method, crc = (int(value) for value in self.places[index])
        self._file.seek(offset)
        header = self._file.read(_ZIP_LOCAL_HEADER.size)
        if len(header) < _ZIP_LOCAL_HEADER.size or not header.startswith(_ZIP_MAGIC):
            raise EOFError("no member begins where the directory says")
        _, name_bytes, extra_bytes = _ZIP_LOCAL_HEADER.unpack(header)
        self._file.seek(name_bytes + extra_bytes, os.SEEK_CUR)
        if method == zipfile.ZIP_STORED:
            data = self._file.read(size)
        else:
            # An upper bound on the deflated length of `size` bytes.
            data = self._file.read(min(packed, 2 * size + 1024))
            data = zlib.decompressobj(wbits=-15).decompress(data, size) if size else b""
        if size == whole and len(data) == size and zlib.crc32(data) != crc:
            raise EOFError("its checksum differs")
        return data


class TarFiles(_Archive):
    """Members of an uncompressed .tar file. `places`: the data's offset, size."""

    def _unpack(self, index: int, size: int) -> bytes:
        self._file.seek(int(self.places[index, 0]))
        return self._file.read(size)


class GzippedTarFiles(_Archive):
    """Members of a .tar.gz file. `places`: the data's offset in the decompressed tar, size."""

    @functools.cached_property
    def _plain(self) -> GzipAccess:
        return GzipAccess(self.root, int(self.places.sum(axis=1).max()))

    def _unpack(self, index: int, size: int) -> bytes:
        return self._plain.read(int(self.places[index, 0]), size)


def open_files(
    root: Path, extensions: Collection[str], say: Callable[[str], None], flag: str = "input"
) -> NamedImageFiles:
    """Find the image files of a folder or an archive.

    Args:
      root: a folder, or a file named .zip, .tar, .tar.gz or .tgz.
      extensions: extensions of the wanted files, in lower case, with the dot.
      say: called with lines for the user.
      flag: name of the flag with the folder or archive, for errors.

    Raises:
      UserError: there is no such folder or file, it is damaged, or it holds no wanted file.
    """
    if root.is_dir() or not root.exists():
        files: NamedImageFiles = open_folder(root, extensions, flag)
    else:
        files = open_archive(root, extensions, flag)
    if not files.names:
        kinds = " ".join(sorted(extensions))
        found = f"{files.ignored} other files" if files.ignored else "an empty folder"
        raise UserError(f"--{flag}={root}: no images; looked for {kinds}. Received: {found}")
    if files.ignored:
        say(f"Ignored {counted(files.ignored, 'file')} in {root}, not images by their extension")
    return files


def is_archive(path: Path) -> bool:
    """Return True if a file is named as an archive that can be read in place."""
    return path.name.lower().endswith(_SUFFIXES)


def open_archive(path: Path, extensions: Collection[str], flag: str = "input") -> NamedImageFiles:
    """Find the image files of an archive, hidden ones left out.

    Args:
      path: a file named .zip, .tar, .tar.gz or .tgz.
      extensions: extensions of the wanted files, in lower case, with the dot.
      flag: name of the flag with the archive, for errors.

    Raises:
      UserError: the file is no such archive, or damaged.
    """
    name = path.name.lower()
    require_regular(path)
    try:
        if name.endswith(".zip"):
            return _open_zip(path, extensions, flag)
        if name.endswith(".tar"):
            return TarFiles(path, *_list_tar(path, extensions, compressed=False))
        if name.endswith((".tar.gz", ".tgz")):
            return GzippedTarFiles(path, *_list_tar(path, extensions, compressed=True))
    except UserError:
        raise
    except Exception as error:  # the libraries fail in any way on a damaged directory
        # EINVAL: an offset before the file.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise UserError(f"--{flag}={path}: damaged or no such archive: {error}") from error
    raise UserError(
        f"--{flag}={path}: not a folder; expected a folder, or an archive named .zip, .tar, .tar.gz"
        " or .tgz (others cannot be read in any order without unpacking them)"
    )


def _open_zip(path: Path, extensions: Collection[str], flag: str) -> ZipFiles:
    members: dict[str, zipfile.ZipInfo] = {}  # of members with one name the last counts
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # The contents of a link are the name of another file.
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                members[_plain_name(info.filename)] = info
    names, ignored = _select(members, extensions)
    for name in names:
        info = members[name]
        if info.header_offset < 0:
            raise zipfile.BadZipFile(f"{name} begins before the file")
        if info.flag_bits & _ENCRYPTED:
            raise UserError(f"--{flag}={path}: {name} is encrypted; decrypt the archive first")
        if info.compress_type not in _METHODS:
            raise UserError(
                f"--{flag}={path}: {name} must be stored or deflated."
                f" Received: method {info.compress_type}"
            )
    places = [
        (info.header_offset, info.file_size, info.compress_size, info.compress_type, info.CRC)
        for info in (members[name] for name in names)
    ]
    return ZipFiles(path, names, ignored, np.array(places, np.int64).reshape(-1, 5))


def _list_tar(
    path: Path, extensions: Collection[str], *, compressed: bool
) -> tuple[tuple[str, ...], int, np.ndarray]:
    places: dict[str, tuple[int, int]] = {}
    with open_regular(path) as file, contextlib.ExitStack() as stack:
        plain: Any = stack.enter_context(gzip.GzipFile(fileobj=file)) if compressed else file
        reads: Any = _SmallReads(plain)
        archive = stack.enter_context(tarfile.open(fileobj=reads, mode="r:"))
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # it would keep all in memory
            name = _plain_name(member.name)
            if member.isreg() and not member.issparse():
                places[name] = (member.offset_data, member.size)
            elif member.islnk() and _plain_name(member.linkname) in places:
                places[name] = places[_plain_name(member.linkname)]
    names, ignored = _select(places, extensions)
    rows = [places[name] for name in names]
    return names, ignored, np.array(rows, np.int64).reshape(-1, 2)


class _SmallReads:
    """A file in which no read is large: a tar's header may announce a name of any length."""

    def __init__(self, file: Any):
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _plain_name(name: str) -> str:
    """Return a member's name without a leading "./" or "/"."""
    steps = name.replace("\\", "/").split("/")
    return "/".join(step for step in steps if step not in ("", "."))


def _select(names: Iterable[str], extensions: Collection[str]) -> tuple[tuple[str, ...], int]:
    """Return the names with one of the extensions, sorted, and the number of others.

    Hidden files are in neither.
    """
    found, ignored = [], 0
    for name in names:
        if any(is_system_file(step) and step != ".." for step in name.split("/")):
            continue
        if os.path.splitext(name)[1].lower() in extensions:
            found.append(name)
        else:
            ignored += 1
    return tuple(sorted(found)), ignored
