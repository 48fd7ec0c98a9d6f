"""MNIST-RGB: three random digits of MNIST as the red, green and blue of one image."""

import dataclasses
import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.sources.base import EightBitSquares
from tfrecords_tools.sources.idx import IdxSource, Split, open_idx
from tfrecords_tools.sources.shared_flags import INPUT, SPLIT
from tfrecords_tools.sources.spec import SourceRequest, SourceSpec

# The original's seed.
_SEED = 123
DEFAULT_COUNT = 1_000_000


@dataclasses.dataclass(frozen=True)
class MnistRgbSource(EightBitSquares):
    """Images of three random digits each.

    Image `i` is the `i`-th draw of three digits, so a larger set begins with a smaller one.

    Attributes:
      digits: the grayscale images.
      count: number of images to compose.
    """

    digits: IdxSource
    count: int
    channels: int = 3
    shuffled: bool = False
    label_names: tuple[str, ...] | None = None

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.digits.resolution

    @functools.cached_property
    def _triples(self) -> np.ndarray:
        """Numbers of each image's digits, [n 3] int32."""
        # The original calls randint once for each image; the stream is the same.
        draws = np.random.RandomState(_SEED).randint(self.digits.count, size=(self.count, 3))
        return draws.astype(np.int32)

    def labels(self) -> np.ndarray | None:
        """None: an image shows three digits."""
        return None

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [3 H W] uint8."""
        return np.concatenate([self.digits.load(int(number)) for number in self._triples[index]])

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source."""
        return {"kind": "mnist_rgb", "images": str(self.digits.images_path), "seed": _SEED}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the draws out: each worker repeats them for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_triples"}


def open_mnist_rgb(path: Path, split: Split, count: int | None) -> MnistRgbSource:
    """Open the digits from which the images are composed.

    Args:
      path: a folder with MNIST's file names, or a file of images.
      split: the file to take from a folder; the original uses "train".
      count: number of images to compose; None for a million.

    Raises:
      UserError: the file is missing, damaged, or of another kind.
    """
    digits = open_idx(path, split, labels=False, label_names=None)
    return MnistRgbSource(digits, DEFAULT_COUNT if count is None else count)


def _open(request: SourceRequest) -> MnistRgbSource:
    return open_mnist_rgb(request["input"], request["split"], request.num_images)


SPEC = SourceSpec(
    name="mnist_rgb",
    description="three digits of MNIST as red, green and blue",
    flags=(replace(INPUT, note="a folder, or a file of images"), SPLIT),
    open=_open,
    default_num_images=DEFAULT_COUNT,
)
