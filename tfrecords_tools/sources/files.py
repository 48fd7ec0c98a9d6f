"""Many files in one place: a folder, or an archive that is read where it is."""

import dataclasses
import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.pixels import ImageFile

# Enough for the header of nearly every image.
HEAD_BYTES = 1 << 16


class Files(Protocol):
    """Numbered image files. Picklable: workers get a copy and open it themselves."""

    @property
    def root(self) -> Path:
        """The folder or file that holds them."""

    @property
    def count(self) -> int:
        """Number of files."""

    def called(self, index: int) -> str:
        """How the user finds a file."""

    def open(self, index: int, max_bytes: int) -> ImageFile:
        """A file's contents: its path, or its bytes in memory.

        Raises:
          BadImageError: it is damaged, or would take more than `max_bytes` of memory.
        """
        ...

    def head(self, index: int, max_bytes: int) -> ImageFile:
        """The first `HEAD_BYTES` of a file, or more. Raises as `open` does."""
        ...

    def reading_order(self) -> np.ndarray:
        """[n] int64: the files' numbers in the order in which they are fastest to read."""
        ...


class NamedFiles(Files, Protocol):
    """Files in the order of their names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names relative to the root, parts separated by slashes, sorted."""

    @property
    def ignored(self) -> int:
        """Number of files of other kinds."""


@dataclasses.dataclass(frozen=True)
class FolderFiles:
    """Files in a folder and its sub-folders."""

    root: Path
    names: tuple[str, ...]
    ignored: int

    @property
    def count(self) -> int:
        """Number of files."""
        return len(self.names)

    def called(self, index: int) -> str:
        """The file's path."""
        return str(self.root / self.names[index])

    def open(self, index: int, max_bytes: int) -> ImageFile:
        """The file's path: what opens it reads as much as it needs."""
        return self.root / self.names[index]

    def head(self, index: int, max_bytes: int) -> ImageFile:
        """The file's path."""
        return self.open(index, max_bytes)

    def reading_order(self) -> np.ndarray:
        """Any order is as good."""
        return np.arange(len(self.names))


def find_files(root: Path, extensions: Collection[str]) -> FolderFiles:
    """Files below a folder, by extension, hidden ones left out, links to folders followed.

    Args:
      root: the folder.
      extensions: in lower case, with the dot.

    Raises:
      UserError: there is no such folder.
    """
    if not root.is_dir():
        problem = "not a folder" if root.exists() else "no such folder"
        raise UserError(f"--input={root}: {problem}; expected a folder of images")
    found: list[str] = []
    ignored = 0
    pending = [(str(root), "", frozenset({os.path.realpath(root)}))]
    while pending:
        folder, prefix, above = pending.pop()
        for entry in os.scandir(folder):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in above:  # a link to a folder above would never end
                    pending.append((entry.path, f"{prefix}{entry.name}/", above | {real}))
            elif os.path.splitext(entry.name)[1].lower() in extensions:
                found.append(prefix + entry.name)
            else:
                ignored += 1
    return FolderFiles(root, tuple(sorted(found)), ignored)
