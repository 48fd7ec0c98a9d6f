"""The image files of a folder or an archive as a set of images of one size.

Files are decoded, and where need be cropped and scaled, as pgan-prepare-tfrecords does it by
default. So the PNGs of a pyramid's level are what the level is.
"""

import concurrent.futures
import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.host import core_count
from tfrecords_tools.image_files.archives import open_files
from tfrecords_tools.image_files.decoding import EXTENSIONS, ImageFile, max_file_bytes
from tfrecords_tools.image_files.files import folder_classes
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.image_files.survey import Survey, survey_files
from tfrecords_tools.printable import printable
from tfrecords_tools.shape import Base, has_alpha, split_size

# Of a class as a folder.
_NAME_LENGTH = 100
# Images of pgan-generate, numbered and with a class; and their grid.
_GENERATED = re.compile(r"\d{6,}(-.*)?\.png")
GRID_NAME = "grid.png"
# Bytes, of images that are decoded at a time.
_MAX_MEMORY = 1 << 32


def open_survey(
    path: Path, *, flag: str, skip_bad_images: bool, say: Callable[[str], None]
) -> Survey:
    """Find the image files of a folder or archive, and decode each once.

    Args:
      path: of the folder or archive.
      flag: name of the flag with the path, for errors.
      skip_bad_images: leave out files that can't be used.
      say: called with lines for the user.

    Raises:
      UserError: there are no image files, or bad ones that are not to be skipped.
    """
    files = open_files(path, EXTENSIONS, say, flag)
    survey = survey_files(files, skip_bad_images=skip_bad_images, label=f"checking {path.name}")
    if survey.skipped:
        say(
            f"Skipped {survey.skipped} of {files.count} files of {path}, such as"
            f" {survey.first_skipped}"
        )
    return _without_grid(survey, say)


def _without_grid(survey: Survey, say: Callable[[str], None]) -> Survey:
    """Leave out the grid that `pgan-generate` draws of its images, beside them."""
    steps = [survey.files.names[index].split("/") for index in survey.indices.tolist()]
    is_grid = np.array([step[-1] == GRID_NAME for step in steps])
    folders = {tuple(step[:-1]) for step in steps}
    others = [step[-1] for step in steps if step[-1] != GRID_NAME]
    numbered = bool(others) and all(map(_GENERATED.fullmatch, others))
    if is_grid.sum() != 1 or len(folders) != 1 or not numbered:
        return survey
    say(f"Left out {survey.name(int(is_grid.argmax()))}, the grid of the others")
    return dataclasses.replace(survey.without(is_grid), skipped=survey.skipped)


@dataclasses.dataclass(frozen=True)
class FileImages:
    """Image files as images of one size, in the order of their names.

    Attributes:
      survey: of the files.
      size: height and width; files of other sizes are cropped to its shape and scaled.
      class_names: of the images on the other side, in their order; None for the folders' own.
    """

    survey: Survey
    size: tuple[int, int]
    class_names: tuple[str, ...] | None = None

    @property
    def path(self) -> Path:
        """The folder or archive."""
        return self.survey.files.root

    @property
    def count(self) -> int:
        """Number of images."""
        return self.survey.count

    @property
    def size_text(self) -> str:
        """The size in words, the width first."""
        return size_text(self.size)

    @property
    def resolution(self) -> int | None:
        """The resolution of the size; None for a size that no pyramid has."""
        split = split_size(*self.size)
        return None if split is None else split[1]

    @property
    def channels(self) -> int:
        """Number of channels, 1 to 4."""
        return self.survey.channels

    @property
    def bits(self) -> int:
        """Bits of a value: more are reduced to 8 as files are decoded."""
        return 8

    @property
    def label_size(self) -> int:
        """Number of classes; 0 without."""
        return len(self.label_names or ())

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """Names of the classes: of the folders in the set's, in one of which each image lies.

        None if an image lies in none, or a folder is not named after one of `class_names`.
        """
        return None if self._classes is None else self._classes[1]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the files' names and contents."""
        return self.survey.digest

    @property
    def traits(self) -> dict[str, Any]:
        """See `ImageSet.traits`; of files that are cropped or scaled, also how."""
        split = split_size(*self.size)
        found = {}
        if split is None or not split[0].is_square:
            found["size"] = self.size_text
        if has_alpha(self.channels):
            found["alpha"] = "on white"
        if self.survey.common_size != self.size:
            found["fitted"] = f"{self._policy.crop}, {self._policy.resize}"
        return found

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Return images by number, as `[k h w c]` uint8.

        Raises:
          UserError: a file has changed since it was checked, and can't be used any more.
        """
        files = self.survey.files
        indices = self.survey.indices[numbers].tolist()
        # Archives are read by one thread at a time.
        opened = [files.open(index, max_file_bytes(self._policy.max_pixels)) for index in indices]
        names = [files.display_name(index) for index in indices]
        with concurrent.futures.ThreadPoolExecutor(self._threads) as pool:
            pixels = list(pool.map(self._decode, opened, names))
        return np.stack(pixels).transpose(0, 2, 3, 1)

    def labels_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return one-hot classes by number, `[k label_size]` float32."""
        if self._classes is None:
            return np.zeros([len(numbers), 0], np.float32)
        return np.eye(self.label_size, dtype=np.float32)[self._classes[0][numbers]]

    def name(self, number: int) -> str:
        """Return the name of an image's file, without its folders."""
        name = self.survey.files.names[int(self.survey.indices[number])]
        return printable(name.rpartition("/")[2])

    def _decode(self, file: ImageFile, name: str) -> np.ndarray:
        return read_pixels(file, self._policy, name)

    @functools.cached_property
    def _threads(self) -> int:
        """Number of files that are decoded at a time, by the memory that the largest takes."""
        largest = dataclasses.replace(
            self._policy, max_pixels=int(self.survey.sizes.prod(axis=1).max())
        )
        return max(1, min(core_count(), _MAX_MEMORY // largest.decoding_memory))

    @functools.cached_property
    def _policy(self) -> ImagePolicy:
        # A base times one: any size has this, also those that no pyramid has.
        return ImagePolicy(
            channels=self.channels, resolution=4, base=Base(*self.size), allow_upscale=True
        )

    @functools.cached_property
    def _classes(self) -> tuple[np.ndarray, tuple[str, ...]] | None:
        """The class `[n]` of each image, and the names of the classes; None without."""
        try:
            classes, names = folder_classes(self.survey.files)
        except UserError:  # not every image lies in a class folder
            return None
        chosen = classes[self.survey.indices]
        if self.class_names is None:
            return (chosen, names) if len(names) > 1 else None
        places = {folder_name(name): place for place, name in enumerate(self.class_names)}
        if not places.keys() >= set(names):
            return None
        return np.array([places[name] for name in names])[chosen], self.class_names


def folder_name(class_name: str) -> str:
    """Return the folder that pgan-inspect-tfrecords extracts a class to."""
    return re.sub(r"[/\x00-\x1f]", "_", class_name).strip()[:_NAME_LENGTH]


def size_text(size: tuple[int, int]) -> str:
    """Return a (height, width) in words, the width first: `96x64`."""
    return f"{size[1]}x{size[0]}"
