"""MNIST-RGB: three random digits of MNIST as the red, green and blue of one image."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_tools.sources.idx import IdxSource, Split, open_idx

# As the original has it.
_SEED = 123
DEFAULT_COUNT = 1_000_000


@dataclasses.dataclass(frozen=True)
class MnistRgbSource:
    """Image `i` is the `i`-th draw of three digits, so a larger set begins with a smaller one.

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
        """Numbers of the digits of each image, [n 3] int32.

        One call draws what a call an image would.
        """
        draws = np.random.RandomState(_SEED).randint(self.digits.count, size=(self.count, 3))
        return draws.astype(np.int32)

    def labels(self) -> np.ndarray | None:
        """None: an image has three digits."""
        return None

    def load(self, index: int) -> np.ndarray:
        """Image `index` as [3 H W] uint8."""
        return np.concatenate([self.digits.load(int(number)) for number in self._triples[index]])

    def describe(self) -> dict[str, Any]:
        """What the manifest says about the source."""
        return {"kind": "mnist_rgb", "images": str(self.digits.images_path), "seed": _SEED}

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the draws out: each worker makes them for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_triples"}


def open_mnist_rgb(path: Path, split: Split, count: int | None) -> MnistRgbSource:
    """Composes images from a file of MNIST's format.

    Args:
      path: a folder with MNIST's file names, or a file of images.
      split: which file of a folder; "train" is what the original uses.
      count: number of images; None for a million.

    Raises:
      UserError: the file is missing, damaged, or of another kind.
    """
    return MnistRgbSource(open_idx(path, split, labels=False, label_names=None),
                          DEFAULT_COUNT if count is None else count)  # fmt: skip
