"""Features on disk: those of reals are kept, those of fakes only find room there."""

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
from absl import logging

from pgan_tf.evaluation.catalog import ImageFeatures
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import (
    partial_directory,
    remove_leftovers,
    replace_directory,
)
from tfrecords_tools.untrusted.array_file import map_array
from tfrecords_tools.untrusted.json_file import read_object
from tfrecords_tools.untrusted.regular_file import open_regular

CACHE_NAME = "evaluation"  # within a run directory
_KEY_NAME = "key.json"
_SUMS = "crc32c"  # the key of the arrays' checksums by file name, beside those that were given
_BLOCK = 1 << 22  # bytes


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """A directory of features.

    Attributes:
      directory: made when it is needed.
      keep: whether the features of reals stay there for the next time.
    """

    directory: Path
    keep: bool = True

    def load(self, key: Mapping[str, Any]) -> ImageFeatures | None:
        """Return the features of a key; None if there are none, or they are damaged."""
        entry = self._entry(key)
        if not self.keep or not entry.is_dir():
            return None
        try:
            stored = read_object(entry / _KEY_NAME)
            sums = stored.pop(_SUMS, None)
            if stored != json.loads(json.dumps(dict(key))):
                return None
            files = sorted(entry.glob("*.npy"))
            if sums is None:
                raise UserError("it carries no checksums, as an early version wrote it")
            if sums != {path.name: _checksum(path) for path in files}:
                raise UserError("damaged, or edited: the checksums of its arrays are wrong")
            return {path.stem: map_array(path) for path in files}
        except (OSError, UserError) as error:
            logging.warning("%s can't be read, extracting the features again: %s", entry, error)
            return None

    @contextlib.contextmanager
    def entry(self, key: Mapping[str, Any]) -> Iterator["CacheEntry"]:
        """Yield a new entry, which appears whole when the block ends without an error.

        Without `keep`, its files are deleted instead; arrays that are mapped from them stay valid.

        Raises:
          UserError: the directory can't be written.
        """
        target = self._entry(key)
        with contextlib.ExitStack() as stack:
            with self.writing():
                self.directory.mkdir(parents=True, exist_ok=True)
                remove_leftovers(self.directory)
                directory = stack.enter_context(partial_directory(target))
            entry = CacheEntry(directory, self)
            yield entry
            if self.keep:
                with self.writing():
                    entry.complete(key)
                    replace_directory(directory, target)

    def allocate(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """Return an array in an unnamed file, which the system removes however the process ends.

        Raises:
          UserError: there is no room for it.
        """
        with self.writing():
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory) as file:
                _reserve(file.fileno(), 4 * shape[0] * shape[1])
                return np.memmap(file, np.float32, "r+", shape=shape)

    def _entry(self, key: Mapping[str, Any]) -> Path:
        text = json.dumps(dict(key), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.directory / f"{key['measurement']}-{digest}"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn errors of the disk in the block into `UserError`s."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.directory}: features can't be written: {error.strerror}; name a "
                "--cache_dir with more room, or compare fewer images"
            ) from error


class CacheEntry:
    """An entry of a `FeatureCache` that is being written."""

    def __init__(self, directory: Path, cache: FeatureCache):
        self._directory = directory
        self._cache = cache
        self._features: ImageFeatures = {}
        self._mapped: dict[str, np.memmap] = {}

    def allocate(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """Return an array of the entry, mapped from its file; see `extraction.Allocate`.

        Raises:
          UserError: there is no room for it.
        """
        with self._cache.writing():
            path = self._directory / f"{name}.npy"
            array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            with path.open("r+b") as file:
                _reserve(file.fileno(), path.stat().st_size)
        self._mapped[name] = array
        return array

    def fill(self, features: ImageFeatures) -> None:
        """Set the features that the entry is to hold."""
        self._features = features

    def complete(self, key: Mapping[str, Any]) -> None:
        """Write the features that are not in files yet, and the key."""
        for name, array in self._features.items():
            if name in self._mapped:
                # Without this a power failure could leave zeros under a valid header.
                self._mapped[name].flush()
            else:
                np.save(self._directory / f"{name}.npy", array)
        files = sorted(self._directory.glob("*.npy"))
        content = {**key, _SUMS: {path.name: _checksum(path) for path in files}}
        (self._directory / _KEY_NAME).write_text(json.dumps(content, indent=2) + "\n")


def _checksum(path: Path) -> int:
    """Return the CRC-32C of a file, several times as fast as its SHA-256."""
    value = 0
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            value = crc32c.crc32c(block, value)
    return value


def _reserve(descriptor: int, size: int) -> None:
    # Writing to a mapped file on a full disk would kill the process; this raises OSError instead.
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is not None:
        reserve(descriptor, 0, size)
        return
    # macOS has no such call. Writing back the content, mostly zeros, takes the room as well.
    start = 0
    while start < size:
        length = min(_BLOCK, size - start)
        content = os.pread(descriptor, length, start).ljust(length, b"\0")
        start += os.pwrite(descriptor, content, start)
