"""Pictures to project: found in folders and archives, and read as images of the network's size."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from tfrecords_tools.errors import UserError
from tfrecords_tools.files import user_path
from tfrecords_tools.image_files.archives import is_archive, open_files
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import EXTENSIONS, max_file_bytes
from tfrecords_tools.image_files.files import FolderFiles, NamedImageFiles
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import Crop, ImagePolicy
from tfrecords_tools.image_files.reasons import common_reasons
from tfrecords_tools.printable import say
from tfrecords_tools.progress import tracked
from tfrecords_tools.shape import split_size

if TYPE_CHECKING:
    from pgan_tf.generating.sampler import Sampler

# The endings of the files that are written for a picture.
ENDINGS = (".npy", ".png", "-steps.png", ".json", ".mp4", ".gif", ".webp")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture's file.

    Attributes:
      name: under which what was found is written; no other picture has it.
      files: the folder or archive that holds it.
      index: its number there.
    """

    name: str
    files: NamedImageFiles
    index: int

    @property
    def display_name(self) -> str:
        """The words by which the user can find it."""
        return self.files.display_name(self.index)


def find_pictures(inputs: Iterable[str], say: Callable[[str], None] = say) -> list[Picture]:
    """Find pictures.

    Args:
      inputs: files, folders and archives; a text that is no path may be several, separated by
        commas.
      say: called with lines for the user.

    Returns:
      At least one.

    Raises:
      UserError: there is no such file or folder, or no picture in it.
    """
    found: list[Picture] = []
    taken: set[str] = set()
    for path in _paths(inputs):
        files = _open(path, say)
        for index, name in enumerate(files.names):
            unique = _unique_name(Path(name).stem, taken)
            found.append(Picture(unique, files, index))
    if not found:
        raise UserError("--input must name a picture. Received: nothing")
    return found


def _paths(inputs: Iterable[str]) -> Iterable[Path]:
    for text in inputs:
        whole = user_path(text)
        several = not whole.exists() and "," in text
        yield from map(user_path, filter(None, text.split(","))) if several else [whole]


def _open(path: Path, say: Callable[[str], None]) -> NamedImageFiles:
    if path.is_dir() or is_archive(path):
        return open_files(path, EXTENSIONS, say)
    if not path.exists():
        raise UserError(f"--input={path}: no such file or folder")
    return FolderFiles(path.parent, (path.name,), 0)


def _unique_name(stem: str, taken: set[str]) -> str:
    """Return a name of which no file is that of another picture; it is taken then."""
    name, number = stem, 1
    while any(f"{name}{ending}".lower() in taken for ending in ENDINGS):
        number += 1
        name = f"{stem}-{number}"
    taken.update(f"{name}{ending}".lower() for ending in ENDINGS)
    return name


class PictureReader:
    """Reads pictures as a generator's images: of its size, channels and bits.

    They are made to fit as pgan-prepare-tfrecords does; those that are smaller are enlarged.
    """

    def __init__(self, sampler: "Sampler", *, crop: Crop = "center"):
        """Read nothing yet.

        Args:
          sampler: of the generator.
          crop: see `ImagePolicy`.

        Raises:
          UserError: the generator's images have a size that no pyramid has.
        """
        split = split_size(sampler.height, sampler.width)
        if split is None:
            raise UserError(
                f"{sampler.file}: its images must have sides of a pyramid's. "
                f"Received: {sampler.width}x{sampler.height}"
            )
        base, resolution = split
        self._policy = ImagePolicy(
            sampler.channels,
            resolution,
            crop=crop,
            base=base,
            bits=sampler.bits,
            allow_upscale=True,
        )

    def read(self, picture: Picture) -> np.ndarray:
        """Return a picture as `[h w c]` uint8, or uint16 for 16 bits.

        Raises:
          BadImageError: it is damaged or too large.
        """
        file = picture.files.open(picture.index, max_file_bytes(self._policy.max_pixels))
        pixels = read_pixels(file, self._policy, picture.display_name)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0))

    def usable(self, pictures: Sequence[Picture], *, skip_bad_images: bool) -> list[Picture]:
        """Read every picture once, so that mistakes are found before any work.

        Args:
          pictures: to read.
          skip_bad_images: warn of pictures that can't be used, and leave them out.

        Raises:
          UserError: a picture can't be used, or (if such are left out) none can.
        """
        good, reasons = [], []
        for picture in tracked(pictures, len(pictures), "pictures"):
            try:
                self.read(picture)
            except BadImageError as error:
                if not skip_bad_images:
                    raise UserError(f"{error}; --skip_bad_images leaves it out") from error
                logging.warning("left out: %s", error)
                reasons.append(error.reason)
            else:
                good.append(picture)
        if not good:
            raise UserError(f"--input: no picture can be used: {common_reasons(reasons)}")
        return good


def as_floats(image: np.ndarray) -> np.ndarray:
    """Return `[h w c]` uint8 or uint16 as float32 in [-1, 1], as networks see it."""
    highest = np.iinfo(image.dtype).max
    return (image.astype(np.float64) * (2.0 / highest) - 1.0).astype(np.float32)
