"""Image files in a folder or an archive, whose sub-folders may be classes."""

import contextlib
import dataclasses
import shlex
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from tfrecords_tools.errors import UserError
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.progress import Progress
from tfrecords_tools.sources.archives import open_files
from tfrecords_tools.sources.base import BadImageError, EightBitSquares, one_hot
from tfrecords_tools.sources.image_files import ImageFiles, NamedImageFiles
from tfrecords_tools.sources.image_flags import POLICY_FLAGS, requested_policy
from tfrecords_tools.sources.pixels import (
    EXTENSIONS,
    Header,
    ImagePolicy,
    check_size,
    read_header,
    read_pixels,
)
from tfrecords_tools.sources.reasons import common_reasons
from tfrecords_tools.sources.shared_flags import (
    INPUT,
    LABELS,
    SHUFFLE,
    SKIP_BAD_IMAGES,
    SQUARE_RESOLUTION,
)
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec

_SCAN_CHUNK = 500

# Usual names of a data set's parts, as folders.
_SPLIT_NAMES = frozenset(
    {
        *("train", "training", "trainset", "val", "valid", "validation", "dev", "eval"),
        *("test", "testing", "testset", "holdout", "extra", "unlabeled", "unlabelled"),
    }
)


@dataclasses.dataclass(frozen=True)
class ImagesSource(EightBitSquares):
    """Image files, cropped and scaled to one size.

    Attributes:
      files: the files.
      policy: the conversion of files to pixels.
      classes: [n] int64, the class of each file; None without labels.
      label_names: a name for each class; None without labels.
      kind: the source's name.
    """

    files: ImageFiles
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
        """Return image `index` as [C H W] uint8."""
        file = self.files.open(index, max_file_bytes(self.policy))
        name = None if isinstance(file, Path) else self.files.display_name(index)
        return read_pixels(file, self.policy, name)

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
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
    """Find the images and read their headers, so that most mistakes are found before any work.

    Args:
      root: a folder, or an archive: .zip, .tar, .tar.gz or .tgz.
      policy: the conversion of files to pixels. `channels` 0 means 1 if every image is gray,
        else 3; `resolution` 0 means the largest power of two to which no image has to be enlarged.
      use_folders: take the folders directly below `root` as classes; in an archive, those below
        the folder that holds all.
      num_workers: processes that read headers.
      skip_bad_images: accept bad images among the others.
      say: called with lines for the user.

    Raises:
      UserError: there is no usable image, or (unless skipped) a bad one.
    """
    files = open_files(root, EXTENSIONS, say)
    classes, names = folder_classes(files) if use_folders else (None, None)
    _warn_of_splits(root, names or ())
    policy = complete_policy(files, policy, num_workers, skip_bad_images, say)
    return ImagesSource(files, policy, classes, names)


def complete_policy(
    files: ImageFiles,
    policy: ImagePolicy,
    num_workers: int,
    skip_bad_images: bool,
    say: Callable[[str], None],
) -> ImagePolicy:
    """Read all headers, and choose the number of channels and the resolution where they are 0.

    Raises:
      UserError: there is no usable image, or (unless skipped) a bad one.
    """
    summary = _summarize_headers(files, policy, num_workers, skip_bad_images)
    chosen = replace(
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


def max_file_bytes(policy: ImagePolicy) -> int:
    """Largest plausible size of a file within the policy's `max_pixels`.

    Four uncompressed channels of 16 bits, and a megabyte of other data.
    """
    return 8 * policy.max_pixels + (1 << 20)


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


def _warn_of_splits(root: Path, names: Sequence[str]) -> None:
    """Warn if classes are named as parts of a data set usually are.

    A single such name among others may be a class: trains, say.
    """
    splits = [name for name in names if name.lower() in _SPLIT_NAMES]
    if len(splits) > 1 or (splits and len(splits) == len(names)):
        logging.warning(
            "--labels=folders takes the folders directly in %s as classes, and %s look like parts "
            "of a data set. If the classes are in them: --input=%s",
            root,
            ", ".join(splits),
            shlex.quote(str(root / splits[0])),
        )


@dataclasses.dataclass(frozen=True)
class _HeaderSummary:
    """The headers of many image files.

    Attributes:
      all_gray: True if all images are grayscale.
      side: side in pixels of the smallest square that cropping leaves.
      smallest: the file of that square.
    """

    all_gray: bool
    side: int
    smallest: str


@dataclasses.dataclass(frozen=True)
class _HeaderReader:
    """Reads the headers of some files. Sent to each worker."""

    files: ImageFiles
    policy: ImagePolicy
    skip_bad_images: bool

    def __call__(self, indices: np.ndarray) -> tuple[list[str], int, _HeaderSummary | None]:
        """Return why files can't be used, the number of all, and a summary of the usable ones."""
        headers: list[tuple[Header, str]] = []
        reasons: list[str] = []
        for index in indices:
            try:
                header = self._header(int(index))
                check_size(self.files.display_name(index), header, self.policy)
            except BadImageError as error:
                if not self.skip_bad_images:
                    raise
                reasons.append(error.reason)
            else:
                headers.append((header, self.files.display_name(index)))
        if not headers:
            return reasons, len(indices), None
        side, smallest = min(
            (header.square_side(self.policy.crop), name) for header, name in headers
        )
        gray = all(header.gray for header, _ in headers)
        return reasons, len(indices), _HeaderSummary(gray, side, smallest)

    def _header(self, index: int) -> Header:
        name, max_bytes = self.files.display_name(index), max_file_bytes(self.policy)
        with contextlib.suppress(BadImageError):
            return read_header(self.files.head(index, max_bytes), self.policy.max_pixels, name)
        # In some formats the header is not at the beginning.
        return read_header(self.files.open(index, max_bytes), self.policy.max_pixels, name)


def _summarize_headers(
    files: ImageFiles, policy: ImagePolicy, num_workers: int, skip_bad_images: bool
) -> _HeaderSummary:
    order = files.reading_order()
    tasks = [order[start : start + _SCAN_CHUNK] for start in range(0, len(order), _SCAN_CHUNK)]
    read = _HeaderReader(files, policy, skip_bad_images)
    # Starting a process takes longer than reading a few chunks.
    workers = min(num_workers, len(tasks) // 4)
    summaries: list[_HeaderSummary] = []
    reasons: list[str] = []
    with (
        Progress(len(order), "headers") as progress,
        closing(run_unordered(read, tasks, workers)) as results,
    ):
        for bad, number, summary in results:
            progress.update(number)
            reasons += bad
            if summary is not None:
                summaries.append(summary)
    if not summaries:
        raise UserError(
            f"--input={files.root}: none of its {len(order)} image files can be used: "
            f"{common_reasons(reasons)}"
        )
    smallest = min(summaries, key=lambda summary: (summary.side, summary.smallest))
    return replace(smallest, all_gray=all(summary.all_gray for summary in summaries))


def _largest_power_of_two(summary: _HeaderSummary) -> int:
    if summary.side < 4:
        raise UserError(
            f"{summary.smallest}: is {summary.side} pixels, too small for the smallest resolution,"
            " 4; remove it, or give --resolution and --allow_upscale"
        )
    return 1 << (summary.side.bit_length() - 1)


def _open(request: SourceRequest) -> ImagesSource:
    return open_images(
        request["input"],
        requested_policy(request),
        bool(request["labels"]),
        request.num_workers,
        request["skip_bad_images"],
        request.say,
    )


SPEC = SourceSpec(
    name="images",
    description="a folder or archive of image files",
    flags=(
        replace(INPUT, note="a folder, .zip, .tar or .tar.gz"),
        replace(SQUARE_RESOLUTION, note="auto is the largest that enlarges no image"),
        replace(
            LABELS,
            choices=("auto", "none", "folders"),
            note="folders makes each folder directly below --input a class, auto is none",
        ),
        *POLICY_FLAGS,
        SKIP_BAD_IMAGES,
        SHUFFLE,
    ),
    open=_open,
)
