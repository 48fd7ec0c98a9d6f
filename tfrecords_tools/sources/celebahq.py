"""CelebA-HQ as already built images: PNG, JPEG or .npy files."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.archives import open_files
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import ImageFile
from tfrecords_tools.image_files.files import NamedImageFiles
from tfrecords_tools.image_files.headers import read_header
from tfrecords_tools.image_files.pixels import read_rgb
from tfrecords_tools.progress import tracked
from tfrecords_tools.sources.base import EightBitSquares
from tfrecords_tools.sources.celeba import check_count
from tfrecords_tools.sources.shared_flags import INPUT, SHUFFLE, SQUARE_RESOLUTION, expected_images
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec
from tfrecords_tools.untrusted.array_file import HEADER_BYTES, parse_header, view_array
from tfrecords_tools.untrusted.regular_file import open_regular, read_bytes

COUNT = 30_000
DEFAULT_RESOLUTION = 1024
_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".npy"})


@dataclasses.dataclass(frozen=True)
class CelebahqSource(EightBitSquares):
    """Images of one size, in the order of the numbers in their names.

    Attributes:
      files: the images.
      order: [n] int64, the number in `files` of each image.
      resolution: side of the images in pixels.
    """

    files: NamedImageFiles
    order: np.ndarray
    resolution: int
    channels: int = 3
    shuffled: bool = True
    label_names: tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.order)

    def labels(self) -> np.ndarray | None:
        """None: CelebA-HQ has no labels."""
        return None

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [3 H W] uint8."""
        number = int(self.order[index])
        name = self.files.display_name(number)
        file = self.files.open(number, _max_file_bytes(self.resolution))
        if name.lower().endswith(".npy"):
            return _read_array(file, name, self.resolution)
        return read_rgb(file, (self.resolution, self.resolution), name)

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        return {"kind": "celebahq", "input": str(self.files.root), "files": self.count}


def open_celebahq(
    path: Path, resolution: int, expected: int, say: Callable[[str], None]
) -> CelebahqSource:
    """Find the images, and check that none is missing and all are of one size.

    Args:
      path: a folder or an archive of files whose names end in the image's number, from 0 or 1.
      resolution: side that all images must have, in pixels.
      expected: number of images that there must be; 0 for any number.
      say: called with lines for the user.

    Raises:
      UserError: an image is missing, there twice, or of another size.
    """
    files = open_files(path, _EXTENSIONS, say)
    order = _order_by_number(files)
    check_count(path, files.count, expected, "CelebA-HQ")
    for index in tracked(files.reading_order(), files.count, "headers"):
        _check_size(files, int(index), resolution)
    return CelebahqSource(files, order, resolution)


def _order_by_number(files: NamedImageFiles) -> np.ndarray:
    """Return the files' indices [n] int64 in the order of the numbers in their names."""
    by_number: dict[int, int] = {}
    for index, name in enumerate(files.names):
        digits = re.search(r"(\d+)$", PurePosixPath(name).stem)
        if digits is None:
            raise UserError(
                f"{files.display_name(index)}: no number at the end of its name; expected names"
                " such as imgHQ00000.png, in CelebA-HQ's order"
            )
        number = int(digits[1])
        if number in by_number:
            other = files.display_name(by_number[number])
            raise UserError(f"{files.display_name(index)}: has the same number as {other}")
        by_number[number] = index
    numbers = sorted(by_number)
    first = min(numbers[0], 1)
    for wanted, number in enumerate(numbers, start=first):
        if number != wanted:
            raise UserError(
                f"--input={files.root}: image {wanted} is missing; the numbers must follow each"
                f" other from 0 or 1. Received: {len(numbers)} images, {numbers[0]} to"
                f" {numbers[-1]}"
            )
    return np.array([by_number[number] for number in numbers], np.int64)


def _check_size(files: NamedImageFiles, index: int, resolution: int) -> None:
    name = files.display_name(index)
    file = files.head(index, _max_file_bytes(resolution))
    if name.lower().endswith(".npy"):
        _array_shape(file, name, resolution)
        return
    header = read_header(file, 1 << 40, name)
    if (header.width, header.height) != (resolution, resolution):
        raise BadImageError(
            name,
            f"must be {resolution}x{resolution} pixels. Received: {header.width}x{header.height}",
        )


def _max_file_bytes(resolution: int) -> int:
    """Largest plausible size of a file: four channels of 16 bits, and a megabyte of headers."""
    return 8 * resolution**2 + (1 << 20)


def _read_array(file: ImageFile, name: str, resolution: int) -> np.ndarray:
    shape = _array_shape(file, name, resolution)
    if isinstance(file, Path):
        data = read_bytes(file, _max_file_bytes(resolution))
    else:
        file.seek(0)
        data = file.read()
    try:
        array = view_array(np.frombuffer(data, np.uint8)).reshape(shape)
    except ValueError as error:
        raise BadImageError(name, f"is damaged: {error}") from error
    return array if shape[0] == 3 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _array_shape(file: ImageFile, name: str, resolution: int) -> tuple[int, ...]:
    """Return the shape in a .npy file's header, CHW or HWC, before any pixels are read."""
    try:
        if isinstance(file, Path):
            with open_regular(file) as opened:
                header = parse_header(opened.read(HEADER_BYTES))
        else:
            header = parse_header(file.read(HEADER_BYTES))
    except ValueError as error:
        raise BadImageError(name, f"is damaged or no .npy file: {error}") from error
    shape, dtype = header.shape, header.dtype
    plain = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    allowed = ((3, resolution, resolution), (resolution, resolution, 3))
    if dtype != np.uint8 or plain not in allowed:
        raise BadImageError(
            name, f"must be uint8 {list(allowed[0])}. Received: {dtype} {list(shape)}"
        )
    return plain


def _open(request: SourceRequest) -> CelebahqSource:
    resolution = request["resolution"] or DEFAULT_RESOLUTION
    return open_celebahq(request["input"], resolution, request["expected_images"], request.say)


SPEC = SourceSpec(
    name="celebahq",
    description="CelebA-HQ, already built",
    flags=(
        replace(INPUT, note="a folder, .zip, .tar or .tar.gz"),
        replace(SQUARE_RESOLUTION, note=f"auto is {DEFAULT_RESOLUTION}"),
        expected_images(COUNT),
        SHUFFLE,
    ),
    open=_open,
)
