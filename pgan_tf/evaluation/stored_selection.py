"""A stored set of images in the place of generators: another's samples, or other data."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from pgan_tf.evaluation.file_images import FileImages
from pgan_tf.evaluation.image_sets import ImageSet, class_names
from pgan_tf.evaluation.images import Reals, StoredFakes


@dataclasses.dataclass(frozen=True)
class StoredSnapshot:
    """A stored set, as one of the networks to evaluate.

    Attributes:
      images: the set.
    """

    images: ImageSet
    images_seen: None = dataclasses.field(default=None, init=False)

    @property
    def file(self) -> Path:
        """The folder or archive of the images."""
        return self.images.path

    @property
    def label(self) -> str:
        """Its name in tables and in names of results: that of the folder, or of the archive."""
        path = Path(os.path.abspath(self.images.path))
        name = path.name if path.is_dir() else path.name.removesuffix(path.suffix)
        return name.removesuffix(".tar") or "images"

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the images."""
        return self.images.digest

    def check(self, reals: Reals, labels: Reals) -> None:
        """Do nothing: the images were checked when their size was chosen."""

    def load(
        self,
        reals: Reals,
        labels: Reals,
        *,
        strategy: tf.distribute.Strategy,
        batch_size: int | None,
        count: int,
    ) -> StoredFakes:
        """Return the images as fakes; arguments as of `snapshots.load_fakes`."""
        names = class_names(self.images)
        return StoredFakes(
            self.images,
            seed=reals.seed,
            as_rgb=reals.channels == 3,
            labelled=names is not None and names == class_names(reals.images),
        )


@dataclasses.dataclass(frozen=True)
class StoredSelection:
    """A stored set in the place of a `SnapshotSelection`.

    Attributes:
      images: the set, at the size of the comparison.
    """

    images: ImageSet
    run: None = dataclasses.field(default=None, init=False)
    config: None = dataclasses.field(default=None, init=False)

    @property
    def path(self) -> Path:
        """The folder or archive of the images."""
        return self.images.path

    @property
    def snapshots(self) -> tuple[StoredSnapshot]:
        """The set alone."""
        return (StoredSnapshot(self.images),)

    @property
    def home(self) -> Path:
        """Default directory for results: beside the folder or archive, not in it."""
        return Path(os.path.abspath(self.path)).parent

    @property
    def count(self) -> int:
        """Number of images that there are."""
        return self.images.count

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of results about the images, as JSON values."""
        return {"fakes": describe_set(self.images)}

    def label_source(self, reals: Reals) -> Reals:
        """Return the reals: the images have labels of their own, or none."""
        return reals


def describe_set(images: ImageSet) -> dict[str, Any]:
    """Return what results say of a set, as JSON values."""
    if not isinstance(images, FileImages):
        return {"kind": "pyramid", "images": images.count, **images.traits}
    survey = images.survey
    skipped = {"skipped": survey.skipped} if survey.skipped else {}
    kind = "folder" if images.path.is_dir() else "archive"
    return {"kind": kind, "images": images.count, **skipped, **images.traits}
