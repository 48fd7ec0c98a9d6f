"""Images in files of folders and archives, with class sub-folders as labels where asked."""

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfrecords_tools.errors import UserError
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.sources.archives import open_files
from tfrecords_tools.sources.base import BadImageError, one_hot
from tfrecords_tools.sources.files import Files, NamedFiles
from tfrecords_tools.sources.pixels import (
    EXTENSIONS,
    Header,
    ImagePolicy,
    check_size,
    read_header,
    read_pixels,
)

_SCAN_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class ImagesSource:
    """Image files, in their order.

    Attributes:
      files: the files.
      policy: how files become pixels.
      classes: [n] int64 class of each file, or None without labels.
      label_names: a name for each class, or None.
      kind: the source's name.
    """

    files: Files
    policy: ImagePolicy
    classes: np.ndarray | None = None
    label_names: tuple[str, ...] | None = None
    kind: str = "images"
    shuffled: bool = True

    @property
    def count(self) -> int:
        """Number of images."""
        return self.files.count

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
        file = self.files.open(index, most_bytes(self.policy))
        name = None if isinstance(file, Path) else self.files.called(index)
        return read_pixels(file, self.policy, name)

    def describe(self) -> dict[str, Any]:
        """What the manifest says about the source."""
        policy = dataclasses.asdict(self.policy)
        return {"kind": self.kind, "input": str(self.files.root), "files": self.count, **policy}


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
      root: a folder, or an archive: .zip, .tar, .tar.gz or .tgz.
      policy: how files become pixels. `channels` 0 means 1 if every image is gray, else 3;
        `resolution` 0 the largest power of two that no image has to be enlarged to.
      use_folders: whether the folders directly below `root` are classes; in an archive, below the
        folder that holds all.
      num_workers: processes that read headers.
      skip_bad_images: whether files that are no images may be among them.
      say: called with lines for the user.

    Raises:
      UserError: there is no usable image, or (unless skipped) a bad one.
    """
    files = open_files(root, EXTENSIONS, say)
    classes, names = folder_classes(files) if use_folders else (None, None)
    policy = complete_policy(files, policy, num_workers, skip_bad_images, say)
    return ImagesSource(files, policy, classes, names)


def complete_policy(
    files: Files,
    policy: ImagePolicy,
    num_workers: int,
    skip_bad_images: bool,
    say: Callable[[str], None],
) -> ImagePolicy:
    """Reads all headers; chooses the number of channels and the resolution where they are 0.

    Raises:
      UserError: there is no usable image, or (unless skipped) a bad one.
    """
    summary = _scan(files, policy, num_workers, skip_bad_images)
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
    return chosen


def most_bytes(policy: ImagePolicy) -> int:
    """Size of the largest file that could be an image within the policy's `max_pixels`.

    Four channels of 16 bits, not compressed, and a megabyte of other things.
    """
    return 8 * policy.max_pixels + (1 << 20)


def folder_classes(files: NamedFiles) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each file: the folder directly below the root.

    An archive of one folder usually holds that folder, not its contents: it is not a class if there
    are folders in it.

    Returns:
      [n] int64 class numbers, and the classes' names, sorted.

    Raises:
      UserError: a file is in no such folder.
    """
    parts = [name.split("/") for name in files.names]
    depth = 0
    if not files.root.is_dir():
        while all(len(part) > depth + 2 and part[depth] == parts[0][depth] for part in parts):
            depth += 1
    for index, part in enumerate(parts):
        if len(part) < depth + 2:
            raise UserError(
                f"{files.called(index)}: in no class folder; --labels=folders needs every image in"
                f" a sub-folder of {files.root}, named after its class"
            )
    folders = [part[depth] for part in parts]
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
    files: Files
    policy: ImagePolicy
    skip_bad_images: bool

    def __call__(self, indices: np.ndarray) -> tuple[int, _HeaderSummary | None]:
        """The number of files and, if any is usable, their summary."""
        headers: list[tuple[Header, str]] = []
        for index in indices:
            try:
                header = self._header(int(index))
                check_size(self.files.called(index), header, self.policy)
            except BadImageError:
                if not self.skip_bad_images:
                    raise
            else:
                headers.append((header, self.files.called(index)))
        if not headers:
            return len(indices), None
        side, smallest = min(
            (header.square_side(self.policy.crop), name) for header, name in headers
        )
        gray = all(header.gray for header, _ in headers)
        return len(indices), _HeaderSummary(gray, side, smallest)

    def _header(self, index: int) -> Header:
        name, most = self.files.called(index), most_bytes(self.policy)
        with contextlib.suppress(BadImageError):
            return read_header(self.files.head(index, most), self.policy.max_pixels, name)
        # Some formats keep it elsewhere than at the beginning.
        return read_header(self.files.open(index, most), self.policy.max_pixels, name)


def _scan(
    files: Files, policy: ImagePolicy, num_workers: int, skip_bad_images: bool
) -> _HeaderSummary:
    order = files.reading_order()
    tasks = [order[start : start + _SCAN_CHUNK] for start in range(0, len(order), _SCAN_CHUNK)]
    read = _HeaderReader(files, policy, skip_bad_images)
    # A process takes longer to start than a few chunks to read.
    workers = min(num_workers, len(tasks) // 4)
    summaries: list[_HeaderSummary] = []
    with (
        tqdm(total=len(order), unit=" headers", disable=None) as progress,
        closing(run_unordered(read, tasks, workers)) as results,
    ):
        for number, summary in results:
            progress.update(number)
            if summary is not None:
                summaries.append(summary)
    if not summaries:
        raise UserError(f"--input={files.root}: none of its {len(order)} image files can be used")
    smallest = min(summaries, key=lambda summary: (summary.side, summary.smallest))
    return dataclasses.replace(smallest, all_gray=all(summary.all_gray for summary in summaries))


def _largest_power_of_two(summary: _HeaderSummary) -> int:
    if summary.side < 4:
        raise UserError(
            f"{summary.smallest}: is {summary.side} pixels, too small for the smallest resolution,"
            " 4; remove it, or give --resolution and --allow_upscale"
        )
    return 1 << (summary.side.bit_length() - 1)
