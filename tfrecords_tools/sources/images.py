"""Image files in a folder or an archive, whose sub-folders may be classes."""

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from tfrecords_tools.image_files.archives import open_files
from tfrecords_tools.image_files.decoding import EXTENSIONS, max_file_bytes
from tfrecords_tools.image_files.files import ImageFiles, folder_classes
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.shape import Base
from tfrecords_tools.sources.base import one_hot
from tfrecords_tools.sources.header_scan import complete_policy
from tfrecords_tools.sources.image_flags import POLICY_FLAGS, requested_policy
from tfrecords_tools.sources.shared_flags import (
    INPUT,
    LABELS,
    RESOLUTION,
    SHUFFLE,
    SKIP_BAD_IMAGES,
)
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec

# Usual names of a data set's parts, as folders.
_SPLIT_NAMES = frozenset(
    {
        *("train", "training", "trainset", "val", "valid", "validation", "dev", "eval"),
        *("test", "testing", "testset", "holdout", "extra", "unlabeled", "unlabelled"),
    }
)


@dataclasses.dataclass(frozen=True)
class ImagesSource:
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
        """1 to 4, as of every source."""
        return self.policy.channels

    @property
    def resolution(self) -> int:
        """4 times a power of two; the side of squares in pixels."""
        return self.policy.resolution

    @property
    def base(self) -> Base:
        """Height and width at resolution 4."""
        return self.policy.base

    @property
    def bits(self) -> int:
        """Bits of a value."""
        return self.policy.bits

    def labels(self) -> np.ndarray | None:
        """One-hot classes [n classes] float32."""
        if self.classes is None or self.label_names is None:
            return None
        return one_hot(self.classes, len(self.label_names))

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [C H W] uint8, or uint16 for 16 bits."""
        file = self.files.open(index, max_file_bytes(self.policy.max_pixels))
        name = None if isinstance(file, Path) else self.files.display_name(index)
        return read_pixels(file, self.policy, name)

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        entries = {"kind": self.kind, "input": str(self.files.root), "files": self.count}
        return entries | self.policy.describe()


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
      policy: the conversion of files to pixels. `channels` 0 means those that every image has;
        `resolution` 0 means the largest power of two to which no image has to be enlarged.
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
        replace(RESOLUTION, note="auto is the largest square that enlarges no image"),
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
