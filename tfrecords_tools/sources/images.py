"""Folders of image files, with class sub-folders as labels where asked."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfrecords_tools.errors import UserError
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.pixels import (
    EXTENSIONS,
    Header,
    ImagePolicy,
    check_size,
    read_header,
    read_pixels,
)
from tfrecords_tools.sources.base import BadImageError, one_hot

_SCAN_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class ImagesSource:
    """Image files below a folder, in the order of their relative paths.

    Attributes:
      root: the folder.
      files: paths relative to it.
      policy: how files become pixels.
      classes: [n] int64 class of each file, or None without labels.
      label_names: the classes' folders, sorted.
    """

    root: Path
    files: tuple[str, ...]
    policy: ImagePolicy
    classes: np.ndarray | None = None
    label_names: tuple[str, ...] | None = None
    shuffled: bool = True

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.files)

    @property
    def channels(self) -> int:
        """1 (grayscale) or 3 (RGB)."""
        return self.policy.channels

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.policy.resolution

    def labels(self) -> np.ndarray | None:
        """One-hot classes [n classes] float32."""
        if self.classes is None or self.label_names is None:
            return None
        return one_hot(self.classes, len(self.label_names))

    def load(self, index: int) -> np.ndarray:
        """Image `index` as [C H W] uint8."""
        return read_pixels(self.root / self.files[index], self.policy)

    def describe(self) -> dict[str, Any]:
        """What the manifest says about the source."""
        policy = dataclasses.asdict(self.policy)
        return {"kind": "images", "input": str(self.root), "files": self.count, **policy}


def open_images(
    root: Path,
    policy: ImagePolicy,
    use_folders: bool,
    num_workers: int,
    skip_bad_images: bool,
    say: Callable[[str], None],
) -> ImagesSource:
    """Finds the images and reads their headers, so that most mistakes are seen before any work.

    Args:
      root: a folder.
      policy: how files become pixels. `channels` 0 means 1 if every image is gray, else 3;
        `resolution` 0 the largest power of two that no image has to be enlarged to.
      use_folders: whether the folders directly below `root` are classes.
      num_workers: processes that read headers.
      skip_bad_images: whether files that are no images may be among them.
      say: called with lines for the user.

    Raises:
      UserError: there is no usable image, or (unless skipped) a bad one.
    """
    files, ignored = find_images(root)
    if not files:
        kinds = " ".join(sorted(EXTENSIONS))
        found = f"{ignored} other files" if ignored else "an empty folder"
        raise UserError(f"--input={root}: no images; looked for {kinds}. Received: {found}")
    if ignored:
        say(f"Ignored {ignored} files in {root} that are not images by their extension")
    classes, names = folder_classes(root, files) if use_folders else (None, None)
    summary = _scan(root, files, policy, num_workers, skip_bad_images)
    chosen = dataclasses.replace(
        policy,
        channels=policy.channels or (1 if summary.all_gray else 3),
        resolution=policy.resolution or _largest_power_of_two(summary),
    )
    if not policy.resolution:
        say(
            f"Resolution {chosen.resolution}x{chosen.resolution}: the smallest image,"
            f" {summary.smallest}, is {summary.side} pixels"
        )
    return ImagesSource(root, tuple(files), chosen, classes, names)


def find_images(root: Path) -> tuple[list[str], int]:
    """Image files below a folder, by extension, hidden ones left out, links to folders followed.

    Returns:
      Paths relative to `root`, sorted, and the number of other files.
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
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                found.append(prefix + entry.name)
            else:
                ignored += 1
    return sorted(found), ignored


def folder_classes(root: Path, files: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each file: the folder directly below the root.

    Returns:
      [n] int64 class numbers, and the classes' names, sorted.

    Raises:
      UserError: a file is in no such folder.
    """
    folders = []
    for file in files:
        folder, slash, _ = file.partition("/")
        if not slash:
            raise UserError(
                f"{root / file}: in no class folder; --labels=folders needs every image in a"
                f" sub-folder of {root}, named after its class"
            )
        folders.append(folder)
    names = tuple(sorted(set(folders)))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[folder] for folder in folders], np.int64), names


@dataclasses.dataclass(frozen=True)
class _HeaderSummary:
    """Of many files: whether all are gray; the smallest square's side in pixels, and whose."""

    all_gray: bool
    side: int
    smallest: str


@dataclasses.dataclass(frozen=True)
class _HeaderReader:
    root: Path
    policy: ImagePolicy
    skip_bad_images: bool

    def __call__(self, files: Sequence[str]) -> tuple[int, _HeaderSummary | None]:
        """The number of files and, if any is usable, their summary."""
        headers: list[tuple[Header, str]] = []
        for file in files:
            path = self.root / file
            try:
                header = read_header(path, self.policy.max_pixels)
                check_size(path, header, self.policy)
            except BadImageError:
                if not self.skip_bad_images:
                    raise
            else:
                headers.append((header, str(path)))
        if not headers:
            return len(files), None
        side, smallest = min(
            (header.square_side(self.policy.crop), name) for header, name in headers
        )
        gray = all(header.gray for header, _ in headers)
        return len(files), _HeaderSummary(gray, side, smallest)


def _scan(
    root: Path, files: list[str], policy: ImagePolicy, num_workers: int, skip_bad_images: bool
) -> _HeaderSummary:
    tasks = [files[start : start + _SCAN_CHUNK] for start in range(0, len(files), _SCAN_CHUNK)]
    read = _HeaderReader(root, policy, skip_bad_images)
    # A process takes longer to start than a few chunks to read.
    workers = min(num_workers, len(tasks) // 4)
    summaries: list[_HeaderSummary] = []
    with (
        tqdm(total=len(files), unit=" headers", disable=None) as progress,
        closing(run_unordered(read, tasks, workers)) as results,
    ):
        for number, summary in results:
            progress.update(number)
            if summary is not None:
                summaries.append(summary)
    if not summaries:
        raise UserError(f"--input={root}: none of its {len(files)} image files can be used")
    smallest = min(summaries, key=lambda summary: (summary.side, summary.smallest))
    return dataclasses.replace(smallest, all_gray=all(summary.all_gray for summary in summaries))


def _largest_power_of_two(summary: _HeaderSummary) -> int:
    if summary.side < 4:
        raise UserError(
            f"{summary.smallest}: is {summary.side} pixels, too small for the smallest resolution,"
            " 4; remove it, or give --resolution and --allow_upscale"
        )
    return 1 << (summary.side.bit_length() - 1)
