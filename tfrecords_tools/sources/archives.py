"""Files of folders and of .zip, .tar and .tar.gz archives.

Archives are read in place: nothing is ever unpacked to disk.

Members' names are only names, whatever they climb out of: no file of that name is ever opened.
"""

import dataclasses
import functools
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
from tfrecords_tools.sources.base import BadImageError
from tfrecords_tools.sources.files import HEAD_BYTES, NamedFiles, find_files
from tfrecords_tools.sources.gzip_access import GzipAccess
from tfrecords_tools.sources.pixels import ImageFile

_ZIP_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ZIP_MAGIC = b"PK\x03\x04"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


@dataclasses.dataclass(frozen=True)
class _Archive:
    """What archives have in common.

    Attributes:
      root: the archive.
      names: members' names.
      ignored: number of members of other kinds.
      places: int64 [n k], what is needed to read each member; its first column is an offset, its
        second the size in bytes when unpacked.
    """

    root: Path
    names: tuple[str, ...]
    ignored: int
    places: np.ndarray

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.names)

    def called(self, index: int) -> str:
        """The archive's path and the member's name."""
        return f"{self.root}: {self.names[index]}"

    def open(self, index: int, max_bytes: int) -> ImageFile:
        """A member's bytes in memory."""
        size = int(self.places[index, 1])
        if size > max_bytes:
            raise BadImageError(
                self.called(index),
                f"unpacks to {size} bytes, more than an image within --max_pixels takes"
                f" ({max_bytes})",
            )
        return io.BytesIO(self._read(index, size))

    def head(self, index: int, max_bytes: int) -> ImageFile:
        """A member's first bytes in memory."""
        return io.BytesIO(self._read(index, min(HEAD_BYTES, int(self.places[index, 1]))))

    def reading_order(self) -> np.ndarray:
        """As the members follow each other in the archive."""
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
        return BadImageError(self.called(index), f"is damaged in the archive: {reason}")

    @functools.cached_property
    def _file(self) -> BinaryIO:
        return self.root.open("rb")

    def __getstate__(self) -> dict[str, Any]:
        """Leaves open files out: each worker opens the archive for itself."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


class ZipFiles(_Archive):
    """Members of a .zip. `places`: local header's offset, size, packed size, method, CRC-32."""

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
            # Deflate never takes more than this for so many bytes.
            data = self._file.read(min(packed, 2 * size + 1024))
            data = zlib.decompressobj(wbits=-15).decompress(data, size) if size else b""
        if size == whole and len(data) == size and zlib.crc32(data) != crc:
            raise EOFError("its checksum differs")
        return data


class TarFiles(_Archive):
    """Members of a plain .tar. `places`: the data's offset, size."""

    def _unpack(self, index: int, size: int) -> bytes:
        self._file.seek(int(self.places[index, 0]))
        return self._file.read(size)


class GzippedTarFiles(_Archive):
    """Members of a .tar.gz. `places`: the data's offset in the decompressed tar, size."""

    @functools.cached_property
    def _plain(self) -> GzipAccess:
        return GzipAccess(self.root, int(self.places.sum(axis=1).max()))

    def _unpack(self, index: int, size: int) -> bytes:
        return self._plain.read(int(self.places[index, 0]), size)


def open_files(root: Path, extensions: Collection[str], say: Callable[[str], None]) -> NamedFiles:
    """The files of a folder or of an archive.

    Args:
      root: a folder, or a file named .zip, .tar, .tar.gz or .tgz.
      extensions: of the files wanted, in lower case, with the dot.
      say: called with lines for the user.

    Raises:
      UserError: there is no such place, it is damaged, or it holds no such file.
    """
    if root.is_dir() or not root.exists():
        files: NamedFiles = find_files(root, extensions)
    else:
        files = open_archive(root, extensions)
    if not files.names:
        kinds = " ".join(sorted(extensions))
        found = f"{files.ignored} other files" if files.ignored else "an empty folder"
        raise UserError(f"--input={root}: no images; looked for {kinds}. Received: {found}")
    if files.ignored:
        say(f"Ignored {files.ignored} files in {root} that are not images by their extension")
    return files


def open_archive(path: Path, extensions: Collection[str]) -> NamedFiles:
    """The files of an archive, hidden ones left out.

    Args:
      path: named .zip, .tar, .tar.gz or .tgz.
      extensions: of the files wanted, in lower case, with the dot.

    Raises:
      UserError: it is none of these, or damaged.
    """
    name = path.name.lower()
    try:
        if name.endswith(".zip"):
            return _open_zip(path, extensions)
        if name.endswith(".tar"):
            return TarFiles(path, *_list_tar(path, "r:", extensions))
        if name.endswith((".tar.gz", ".tgz")):
            return GzippedTarFiles(path, *_list_tar(path, "r:gz", extensions))
    except UserError:
        raise
    except Exception as error:  # a damaged directory can make the libraries fail in any way
        if isinstance(error, OSError) and error.errno:
            raise
        raise UserError(f"--input={path}: damaged or no such archive: {error}") from error
    raise UserError(
        f"--input={path}: not a folder; expected a folder, or an archive named .zip, .tar, .tar.gz"
        " or .tgz (others cannot be read in any order without unpacking them)"
    )


def _open_zip(path: Path, extensions: Collection[str]) -> ZipFiles:
    members: dict[str, zipfile.ZipInfo] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # A link's data is the name of another file.
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                members[_plain_name(info.filename)] = info
    names, ignored = _wanted(members, extensions)
    for name in names:
        info = members[name]
        if info.header_offset < 0:
            raise zipfile.BadZipFile(f"{name} begins before the file")
        if info.flag_bits & _ENCRYPTED:
            raise UserError(f"--input={path}: {name} is encrypted; decrypt the archive first")
        if info.compress_type not in _METHODS:
            raise UserError(
                f"--input={path}: {name} must be stored or deflated."
                f" Received: method {info.compress_type}"
            )
    places = [
        (info.header_offset, info.file_size, info.compress_size, info.compress_type, info.CRC)
        for info in (members[name] for name in names)
    ]
    return ZipFiles(path, names, ignored, np.array(places, np.int64).reshape(-1, 5))


def _list_tar(
    path: Path, mode: Any, extensions: Collection[str]
) -> tuple[tuple[str, ...], int, np.ndarray]:
    places: dict[str, tuple[int, int]] = {}
    with tarfile.open(path, mode) as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # else it keeps them all in memory
            name = _plain_name(member.name)
            if member.isreg() and not member.issparse():
                places[name] = (member.offset_data, member.size)
            elif member.islnk() and _plain_name(member.linkname) in places:
                places[name] = places[_plain_name(member.linkname)]
    names, ignored = _wanted(places, extensions)
    rows = [places[name] for name in names]
    return names, ignored, np.array(rows, np.int64).reshape(-1, 2)


def _plain_name(name: str) -> str:
    """A member's name without a leading "./" or "/"; of members of one name the last counts."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _wanted(names: Iterable[str], extensions: Collection[str]) -> tuple[tuple[str, ...], int]:
    """The names with one of the extensions, sorted, and the number of others; hidden ones apart."""
    found, ignored = [], 0
    for name in names:
        if any(part.startswith(".") and part != ".." for part in name.split("/")):
            continue
        if os.path.splitext(name)[1].lower() in extensions:
            found.append(name)
        else:
            ignored += 1
    return tuple(sorted(found)), ignored
