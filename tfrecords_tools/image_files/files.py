"""Image files of one folder or archive, numbered: the interface, and folders."""

import collections
import dataclasses
import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import is_system_file
from tfrecords_tools.image_files.decoding import ImageFile

# Ways by which one folder may be reached. If ten folders link to each other, each is reached by a
# million.
_MAX_TIMES = 100
# Enough for the header of nearly every image.
HEAD_BYTES = 1 << 16


class ImageFiles(Protocol):
    """Numbered image files. Picklable: every worker gets a copy and opens the files itself."""

    @property
    def root(self) -> Path:
        """The folder or file that holds them."""

    @property
    def count(self) -> int:
        """Number of files."""

    def display_name(self, index: int) -> str:
        """The words by which the user can find a file."""

    def open(self, index: int, max_bytes: int) -> ImageFile:
        """Return a file's path, or its contents in memory.

        Raises:
          BadImageError: it is damaged, or would take more than `max_bytes` of memory.
        """
        ...

    def head(self, index: int, max_bytes: int) -> ImageFile:
        """Return the first `HEAD_BYTES` of a file, or more. Raises as `open` does."""
        ...

    def reading_order(self) -> np.ndarray:
        """File numbers [n] int64 in the order in which reading them is fastest."""
        ...


class NamedImageFiles(ImageFiles, Protocol):
    """Image files in the order of their names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names relative to the root, with slashes between folders, sorted."""

    @property
    def ignored(self) -> int:
        """Number of files with other extensions."""


@dataclasses.dataclass(frozen=True)
class FolderFiles:
    """Files in a folder and its sub-folders.

    Attributes:
      root: the folder.
      names: names relative to the root, sorted.
      ignored: number of files with other extensions.
    """

    root: Path
    names: tuple[str, ...]
    ignored: int

    @property
    def count(self) -> int:
        """Number of files."""
        return len(self.names)

    def display_name(self, index: int) -> str:
        """The file's path."""
        return str(self.root / self.names[index])

    def open(self, index: int, max_bytes: int) -> ImageFile:
        """Return the file's path, from which a decoder reads as much as it needs."""
        return self.root / self.names[index]

    def head(self, index: int, max_bytes: int) -> ImageFile:
        """Return the file's path."""
        return self.open(index, max_bytes)

    def reading_order(self) -> np.ndarray:
        """All numbers in turn: for a folder any order is as good."""
        return np.arange(len(self.names))


def open_folder(root: Path, extensions: Collection[str], flag: str = "input") -> FolderFiles:
    """Find files below a folder by extension.

    Hidden files, and a system's folders of thumbnails and the like, are left out. Links to folders
    are followed.

    Args:
      root: the folder.
      extensions: in lower case, with the dot.
      flag: name of the flag with the folder, for errors.

    Raises:
      UserError: there is no such folder.
    """
    if not root.is_dir():
        problem = "not a folder" if root.exists() else "no such folder"
        raise UserError(f"--{flag}={root}: {problem}; expected a folder of images")
    found: list[str] = []
    ignored = 0
    times: collections.Counter[str] = collections.Counter()
    pending = [(str(root), "", frozenset({os.path.realpath(root)}))]
    while pending:
        folder, prefix, above = pending.pop()
        for entry in os.scandir(folder):
            if is_system_file(entry.name):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                times[real] += 1
                if times[real] > _MAX_TIMES:
                    raise UserError(
                        f"--{flag}={root}: folders that link to each other: {real} is found under"
                        f" more than {_MAX_TIMES} names"
                    )
                if real not in above:  # a link to a folder above would never end
                    pending.append((entry.path, f"{prefix}{entry.name}/", above | {real}))
            elif os.path.splitext(entry.name)[1].lower() in extensions:
                found.append(prefix + entry.name)
            else:
                ignored += 1
    return FolderFiles(root, tuple(sorted(found)), ignored)


def folder_classes(files: NamedImageFiles) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the class of each file: the folder directly below the root.

    An archive of one folder usually holds the folder itself, not its contents; then the folders in
    it are the classes.

    Returns:
      [n] int64 class numbers, and the classes' names, sorted.

    Raises:
      UserError: a file is in no such folder.
    """
    paths = [name.split("/") for name in files.names]
    depth = 0
    if not files.root.is_dir():
        while all(len(path) > depth + 2 and path[depth] == paths[0][depth] for path in paths):
            depth += 1
    for index, path in enumerate(paths):
        if len(path) < depth + 2:
            raise UserError(
                f"{files.display_name(index)}: in no class folder; --labels=folders needs every"
                f" image in a sub-folder of {files.root}, named after its class"
            )
    folders = [path[depth] for path in paths]
    names = tuple(sorted(set(folders)))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[folder] for folder in folders], np.int64), names
