"""LSUN: an LMDB database of encoded images of one category."""

import dataclasses
import functools
import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.progress import tracked
from tfrecords_tools.sources.base import EightBitSquares
from tfrecords_tools.sources.shared_flags import (
    INPUT,
    MAX_PIXELS,
    SKIP_BAD_IMAGES,
    SQUARE_RESOLUTION,
)
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec
from tfrecords_tools.untrusted.isolated import open_parser, run_isolated

DEFAULT_RESOLUTION = 256
_EXTRA = "lmdb"
# Keys from one landmark to the next.
_SPACING = 256
# An entry's header and offset in its page, and a key of one byte.
_MIN_ENTRY_BYTES = 11


@dataclasses.dataclass(frozen=True)
class LsunSource(EightBitSquares):
    """Images of an LMDB database, in the order of its keys.

    Attributes:
      path: the database.
      count: number of images.
      landmarks: every 256th key from the first, from which the keys between them are found.
      policy: the conversion of values to pixels.
    """

    path: Path
    count: int
    landmarks: tuple[bytes, ...]
    policy: ImagePolicy
    channels: int = 3
    shuffled: bool = False
    label_names: tuple[str, ...] | None = None

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.policy.resolution

    @functools.cached_property
    def _reader(self) -> Any:
        make = functools.partial(_Reader, self.path, self.landmarks, _SPACING)
        return open_parser(make, _data_file(self.path))

    def labels(self) -> np.ndarray | None:
        """None: a database holds one category."""
        return None

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [3 H W] uint8."""
        try:
            key, value = self._reader.call("read", index)
        except UserError as error:
            name = f"{self.path}: image {index}"
            raise BadImageError(name, f"is damaged: {error}") from error
        return read_pixels(io.BytesIO(value), self.policy, f"{self.path}: {_shown(key)}")

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        return {"kind": "lsun", "input": str(self.path), **self.policy.describe()}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open database out: each worker opens it for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_reader"}


def open_lsun(path: Path, resolution: int, num_images: int | None, max_pixels: int) -> LsunSource:
    """Open a database, and read its landmarks.

    Args:
      path: the database's folder, such as `bedroom_train_lmdb`, or its file.
      resolution: side of the images in pixels, to which the largest centered square is scaled by a
        Lanczos filter; smaller images are enlarged, as in the original.
      num_images: number of images wanted, after which no key is read. None for all.
      max_pixels: images with more pixels are bad.

    Raises:
      UserError: there is no such database, or it is damaged or empty.
    """
    require("lmdb", _EXTRA)  # said here if it is not installed
    file = _data_file(path)
    count, landmarks = run_isolated(
        functools.partial(_read_landmarks, path, num_images, _SPACING), file
    )
    policy = ImagePolicy(3, resolution, max_pixels=max_pixels, allow_upscale=True)
    # As for every source, the writer refuses a `num_images` that is too large.
    return LsunSource(path, count, landmarks, policy)


def _read_landmarks(
    path: Path, num_images: int | None, spacing: int, file: Path
) -> tuple[int, tuple[bytes, ...]]:
    """Return the number of images, and the first key of every `spacing`."""
    database = _opened(path, file)
    entries = database.stat()["entries"]
    if entries == 0:
        raise UserError(f"--input={path}: an empty database")
    if entries > file.stat().st_size // _MIN_ENTRY_BYTES:
        raise UserError(f"--input={path}: damaged: it claims to hold {entries} entries")
    count = min(entries, num_images or entries)
    with database.begin() as transaction, transaction.cursor() as cursor:
        keys = itertools.islice(cursor.iternext(keys=True, values=False), count)
        walk = tracked(keys, count, "keys")
        return count, tuple(itertools.islice(walk, 0, None, spacing))


class _Reader:
    """Reader of encoded images by number, fastest in their order; in a process of its own."""

    def __init__(self, path: Path, landmarks: tuple[bytes, ...], spacing: int, file: Path):
        self._path = path
        self._landmarks = landmarks
        self._spacing = spacing
        self._database = _opened(path, file)
        self._cursor = self._database.begin().cursor()
        self._at = -1

    def read(self, index: int) -> tuple[bytes, bytes]:
        """Return key and value number `index`."""
        before, self._at = self._at, -1  # unknown after an error
        if index != before + 1 or not self._cursor.next():
            found = self._cursor.set_key(self._landmarks[index // self._spacing])
            for _ in range(index % self._spacing):
                found = found and self._cursor.next()
            if not found:
                raise UserError(f"--input={self._path}: changed while it was read")
        self._at = index
        return self._cursor.item()


def _data_file(path: Path) -> Path:
    file = path / "data.mdb" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"--input={path}: no LMDB database; expected a folder with data.mdb")
    return file


def _opened(path: Path, file: Path) -> Any:
    lmdb = require("lmdb", _EXTRA)
    try:
        database = lmdb.open(
            str(path),
            subdir=path.is_dir(),
            readonly=True,
            # Nobody writes, and the disk may be read-only.
            lock=False,
            readahead=False,
        )
    except lmdb.Error as error:
        raise UserError(f"--input={path}: damaged or no LMDB database: {error}") from error
    expected = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    received = file.stat().st_size
    if received < expected:
        raise UserError(f"{file}: truncated: {expected} bytes expected. Received: {received}")
    return database


def _shown(key: bytes) -> str:
    return key.decode("ascii", "backslashreplace")


def _open(request: SourceRequest) -> LsunSource:
    resolution = request["resolution"] or DEFAULT_RESOLUTION
    return open_lsun(request["input"], resolution, request.num_images, request["max_pixels"])


SPEC = SourceSpec(
    name="lsun",
    description="an LMDB database of LSUN",
    flags=(
        replace(INPUT, note="a database's folder or file"),
        replace(SQUARE_RESOLUTION, note=f"auto is {DEFAULT_RESOLUTION}"),
        MAX_PIXELS,
        SKIP_BAD_IMAGES,
    ),
    open=_open,
    extra=_EXTRA,
)
