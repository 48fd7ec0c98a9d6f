"""CelebA: a square around the face in each of the aligned photographs of 178x218 pixels."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.archives import open_files
from tfrecords_tools.image_files.files import NamedImageFiles
from tfrecords_tools.image_files.pixels import read_rgb
from tfrecords_tools.sources.base import EightBitSquares, one_hot
from tfrecords_tools.sources.shared_flags import (
    INPUT,
    SHUFFLE,
    expected_images,
    parse_comma_separated,
)
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest, SourceSpec
from tfrecords_tools.untrusted.regular_file import read_text

COUNT = 202_599
_WIDTH, _HEIGHT = 178, 218
# Center of the window, and half its side, as in the original.
_COLUMN, _ROW, _HALF = 89, 121, 64
_MAX_BYTES = 1 << 24
_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg"})
# Folders below --input that may hold the images; the original takes the first.
_FOLDERS = ("img_align_celeba_png", "img_align_celeba", "Img/img_align_celeba_png",
            "Img/img_align_celeba")  # fmt: skip
_ATTRIBUTES_FILES = ("list_attr_celeba.txt", "list_attr_celeba.csv")
_MOST_ATTRIBUTES = 8


@dataclasses.dataclass(frozen=True)
class CelebaSource(EightBitSquares):
    """The 128x128 window of every photograph, in the order of the files' names.

    Attributes:
      files: the photographs.
      classes: [n] int64, the number of each image's combination of attributes; None without labels.
      label_names: a name for each combination; None without labels.
    """

    files: NamedImageFiles
    classes: np.ndarray | None = None
    label_names: tuple[str, ...] | None = None
    channels: int = 3
    resolution: int = 2 * _HALF
    shuffled: bool = True

    @property
    def count(self) -> int:
        """Number of images."""
        return self.files.count

    def labels(self) -> np.ndarray | None:
        """One-hot combinations of attributes [n classes] float32."""
        if self.classes is None or self.label_names is None:
            return None
        return one_hot(self.classes, len(self.label_names))

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [3 128 128] uint8."""
        file = self.files.open(index, _MAX_BYTES)
        image = read_rgb(file, (_WIDTH, _HEIGHT), self.files.display_name(index))
        return image[:, _ROW - _HALF : _ROW + _HALF, _COLUMN - _HALF : _COLUMN + _HALF]

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        return {"kind": "celeba", "input": str(self.files.root), "files": self.count}


def open_celeba(
    path: Path, attributes: Sequence[str], expected: int, say: Callable[[str], None]
) -> CelebaSource:
    """Find CelebA's aligned images, and read the attributes that make the labels.

    Args:
      path: a folder that holds `img_align_celeba_png` or `img_align_celeba`; the folder of the
        images; or an archive of them.
      attributes: each combination of these attributes is a class. Empty for no labels.
      expected: number of images that there must be; 0 for any number.
      say: called with lines for the user.

    Raises:
      UserError: images or attributes are missing, or of another kind.
    """
    folder = next((path / name for name in _FOLDERS if (path / name).is_dir()), path)
    files = open_files(folder, _EXTENSIONS, say)
    check_count(path, files.count, expected, "CelebA")
    if not attributes:
        return CelebaSource(files)
    attributes_file = _find_attributes(path)
    classes, names = _read_attributes(attributes_file, files, attributes)
    return CelebaSource(files, classes, names)


def check_count(path: Path, count: int, expected: int, name: str) -> None:
    """Refuse a data set that is not complete.

    Args:
      path: the value of `--input`.
      count: number of images found.
      expected: number of images that there must be; 0 for any number.
      name: the data set's name.

    Raises:
      UserError: the numbers differ.
    """
    if expected and count != expected:
        raise UserError(
            f"--input={path}: must hold {expected} images, all of {name};"
            f" --expected_images={count} accepts what is there. Received: {count}"
        )


def _find_attributes(path: Path) -> Path:
    folders = [path, path.parent, path.parent.parent] if path.is_dir() else [path.parent]
    for folder, name in itertools.product(folders, _ATTRIBUTES_FILES):
        for candidate in (folder / name, folder / "Anno" / name):
            if candidate.is_file():
                return candidate
    raise UserError(
        f"--attributes needs {_ATTRIBUTES_FILES[0]} or .csv in {path}, its sub-folder Anno, or"
        " beside it; found neither"
    )


def _read_attributes(
    file: Path, files: NamedImageFiles, attributes: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the class of each image, [n] int64, and the classes' names."""
    repeated = len(set(attributes)) < len(attributes)
    if repeated or len(attributes) > _MOST_ATTRIBUTES:
        raise UserError(
            f"--attributes must be at most {_MOST_ATTRIBUTES} different names: each combination is"
            f" a class. Received: {','.join(attributes)}"
        )
    text = read_text(file, encoding="ascii")
    rows = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
    if rows and len(rows[0]) == 1:
        del rows[0]  # the number of images, with which the text file begins
    known = [name for name in rows[0] if name != "image_id"] if rows else []
    unknown = [name for name in attributes if name not in known]
    if unknown:
        raise UserError(
            f"--attributes must be some of {', '.join(known)} ({file})."
            f" Received: {', '.join(unknown)}"
        )
    columns = [1 + known.index(name) for name in attributes]
    found: dict[str, int] = {}
    for number, row in enumerate(rows[1:]):
        values = [row[column] for column in columns] if len(row) == 1 + len(known) else ["?"]
        if not set(values) <= {"1", "-1", "0"}:
            raise UserError(
                f"{file}: row {number + 1} after the names must be an image and {len(known)} times"
                f" 1 or -1. Received: {' '.join(row)[:80]}"
            )
        # The first attribute is the highest bit.
        bits = "".join("1" if value == "1" else "0" for value in values)
        found[_stem(row[0])] = int(bits, 2)
    missing = [name for name in files.names if _stem(name) not in found]
    if missing:
        raise UserError(f"{file}: says nothing about {missing[0]} and {len(missing) - 1} others")
    classes = np.array([found[_stem(name)] for name in files.names], np.int64)
    choices = [(f"not_{name}", name) for name in attributes]
    return classes, tuple("+".join(combination) for combination in itertools.product(*choices))


def _stem(name: str) -> str:
    """Return a photograph's number: 000001 for both 000001.jpg and 000001.png."""
    return PurePosixPath(name).stem


def _open(request: SourceRequest) -> CelebaSource:
    return open_celeba(
        request["input"], request["attributes"], request["expected_images"], request.say
    )


SPEC = SourceSpec(
    name="celeba",
    description="CelebA's aligned photographs, a square around each face",
    flags=(
        replace(INPUT, note="a folder, .zip, .tar or .tar.gz"),
        FlagSpec(
            "attributes",
            "string",
            None,
            "Attributes that make the labels, comma-separated: each combination of them is a class."
            " Default: no labels.",
            parse=parse_comma_separated,
        ),
        expected_images(COUNT),
        SHUFFLE,
    ),
    open=_open,
)
