"""Stored sets of images, of which each may be the reals or the fakes of a comparison.

Numbered images of one size: those of a pyramid at one of its levels (here), or the image files of a
folder or an archive (`image_files.py`).
"""

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfrecords_tools.format import MANIFEST_NAME, Level, Pyramid, sha256_of
from tfrecords_tools.pictures import to_8_bits


class ImageSet(Protocol):
    """Numbered images of one size."""

    @property
    def path(self) -> Path:
        """The directory or file that holds them, by which messages name the set."""

    @property
    def count(self) -> int:
        """Number of images."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""

    @property
    def size_text(self) -> str:
        """Their size in words, the width first: `96x64`."""

    @property
    def resolution(self) -> int | None:
        """The resolution of their size; None for a size that no pyramid has."""

    @property
    def channels(self) -> int:
        """Number of channels, 1 to 4; the last of 2 or 4 is alpha."""

    @property
    def bits(self) -> int:
        """Bits of a value as it is stored, 8 or 16."""

    @property
    def label_size(self) -> int:
        """Components of a label; 0 without labels."""

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """A name for each component of a label; None where they have no names."""

    @property
    def digest(self) -> str:
        """Text that changes whenever the images do."""

    @property
    def traits(self) -> dict[str, Any]:
        """Properties that metrics see of the images beside resolution and channels, as JSON values.

        For keys of caches and settings of results. Nothing for RGB or grayscale squares of 8 bits,
        whose keys and settings so stay as earlier versions wrote them.
        """

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Return images by number, as `[k h w c]` uint8; alpha stays a channel.

        Raises:
          UserError: one is damaged.
        """
        ...

    def labels_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return labels by number, `[k label_size]` float32."""
        ...

    def name(self, number: int) -> str:
        """Return a short name of an image, for captions."""
        ...


@dataclasses.dataclass(frozen=True)
class PyramidImages:
    """The images of a pyramid at one of its levels, numbered as its records.

    Attributes:
      pyramid: on a local disk.
      resolution: of the level.
    """

    pyramid: Pyramid
    resolution: int

    @property
    def level(self) -> Level:
        """The level that is read."""
        return self.pyramid.level(self.resolution)

    @property
    def path(self) -> Path:
        """The pyramid's directory."""
        return self.pyramid.directory

    @property
    def count(self) -> int:
        """Number of images."""
        return self.pyramid.count

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.level.shape[1:]

    @property
    def size_text(self) -> str:
        """Their size in words, the width first."""
        return self.level.size_text

    @property
    def channels(self) -> int:
        """Number of channels, 1 to 4."""
        return self.pyramid.channels

    @property
    def bits(self) -> int:
        """Bits of a value."""
        return self.pyramid.bits

    @property
    def label_size(self) -> int:
        """Components of a label."""
        return self.pyramid.label_size

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """Names of the classes, where the manifest has them."""
        return self.pyramid.label_names

    @functools.cached_property
    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.pyramid, self.resolution)

    @property
    def traits(self) -> dict[str, Any]:
        """See `traits`."""
        return traits(self.pyramid, self.resolution)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Return images by record number; see `read_images`."""
        return read_images(self.level, numbers)

    def labels_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return labels by record number."""
        return self.pyramid.labels_of(numbers)

    def name(self, number: int) -> str:
        """Return the record number of an image."""
        return f"#{number}"


def class_names(images: ImageSet) -> tuple[str, ...] | None:
    """Return a name for each component of a set's labels: its number where it has none.

    Returns:
      None without labels.
    """
    if not images.label_size:
        return None
    return images.label_names or tuple(map(str, range(images.label_size)))


def digest_of(pyramid: Pyramid, resolution: int) -> str:
    """Return a digest that changes whenever a pyramid's images at one resolution do.

    It is that of the manifest; without a manifest, that of all of the level's files.
    """
    if pyramid.manifest is not None:
        return sha256_of(pyramid.directory / MANIFEST_NAME)
    sums = [sha256_of(file.path) for file in pyramid.level(resolution).files]
    return hashlib.sha256("".join(sums).encode()).hexdigest()


def read_images(level: Level, records: np.ndarray) -> np.ndarray:
    """Read images of a level by number, as `[k h w c]` of 8 bits; alpha stays a channel.

    Raises:
      UserError: a record is damaged.
    """
    return to_8_bits(level.read(records).transpose(0, 2, 3, 1))


def traits(pyramid: Pyramid, resolution: int) -> dict[str, Any]:
    """Return how metrics see images of a level; see `ImageSet.traits`."""
    found = {}
    if not pyramid.base.is_square:
        found["size"] = pyramid.base.text_at(resolution)
    if pyramid.has_alpha:
        found["alpha"] = "on white"
    if pyramid.bits != 8:
        found["bits"] = f"{pyramid.bits}, reduced to 8"
    return found
