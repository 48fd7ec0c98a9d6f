"""What was measured of reals, kept on disk, and room on disk for what is measured of fakes."""

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from pgan_tf.evaluation.catalogue import Measured
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import (
    partial_directory,
    remove_partial_directories,
    replace_directory,
)
from tfrecords_tools.format import MANIFEST_NAME, Pyramid, sha256_of

CACHE_NAME = "evaluation"  # within a run directory
_KEY_NAME = "key.json"
_BLOCK = 1 << 22  # bytes


def digest_of(pyramid: Pyramid, resolution: int) -> str:
    """Changes whenever a pyramid's images at one resolution do: its manifest's checksum, or theirs.

    Without a manifest all of the level's files are read.
    """
    if pyramid.manifest is not None:
        return sha256_of(pyramid.directory / MANIFEST_NAME)
    sums = [sha256_of(file.path) for file in pyramid.level(resolution).files]
    return hashlib.sha256("".join(sums).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A directory for measurements.

    Attributes:
      directory: made when it is needed.
      keep: whether measurements of reals stay there for the next time.
    """

    directory: Path
    keep: bool = True

    def load(self, key: Mapping[str, Any]) -> Measured | None:
        """What was measured under a key; None if nothing was, or it is damaged."""
        entry = self._entry(key)
        if not self.keep or not entry.is_dir():
            return None
        try:
            if json.loads((entry / _KEY_NAME).read_text()) != dict(key):
                return None
            return {
                path.stem: np.load(path, mmap_mode="r", allow_pickle=False)
                for path in sorted(entry.glob("*.npy"))
            }
        except (OSError, ValueError) as error:
            logging.warning("%s can't be read, measuring anew: %s", entry, error)
            return None

    @contextlib.contextmanager
    def entry(self, key: Mapping[str, Any]) -> Iterator["Entry"]:
        """Room for a new entry, which appears whole when the block ends without an error.

        Without `keep` its files are gone then; arrays that are mapped from them stay as they are.

        Raises:
          UserError: the directory can't be written.
        """
        target = self._entry(key)
        with contextlib.ExitStack() as stack:
            with self.writing():
                self.directory.mkdir(parents=True, exist_ok=True)
                remove_partial_directories(self.directory)
                directory = stack.enter_context(partial_directory(target))
            entry = Entry(directory, self)
            yield entry
            if self.keep:
                with self.writing():
                    entry.complete(key)
                    replace_directory(directory, target)

    def allocate(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """An array in a file without a name, which the system removes however the process ends.

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
        """Says a full disk plainly."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.directory}: measurements can't be written: {error.strerror}; name a "
                "--cache_dir with more room, or compare fewer images"
            ) from error


class Entry:
    """An entry that is being written."""

    def __init__(self, directory: Path, workspace: Workspace):
        self._directory = directory
        self._workspace = workspace
        self._measured: Measured = {}
        self._mapped: dict[str, np.memmap] = {}

    def allocate(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """An array of the entry, mapped from its file; see `measuring.Allocate`.

        Raises:
          UserError: there is no room for it.
        """
        with self._workspace.writing():
            path = self._directory / f"{name}.npy"
            array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            with path.open("r+b") as file:
                _reserve(file.fileno(), path.stat().st_size)
        self._mapped[name] = array
        return array

    def fill(self, measured: Measured) -> None:
        """Says what the entry is to hold."""
        self._measured = measured

    def complete(self, key: Mapping[str, Any]) -> None:
        """Writes what is not in files yet, and the key."""
        for name, array in self._measured.items():
            if name in self._mapped:
                # Without this a power failure could leave zeros under a valid header.
                self._mapped[name].flush()
            else:
                np.save(self._directory / f"{name}.npy", array)
        (self._directory / _KEY_NAME).write_text(json.dumps(dict(key), indent=2) + "\n")


def _reserve(descriptor: int, size: int) -> None:
    # A mapped file that finds the disk full would kill the process; this raises OSError instead.
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is not None:
        reserve(descriptor, 0, size)
        return
    # macOS has no such call. Writing what is read, zeros mostly, takes the room as well.
    start = 0
    while start < size:
        length = min(_BLOCK, size - start)
        content = os.pread(descriptor, length, start).ljust(length, b"\0")
        start += os.pwrite(descriptor, content, start)
