"""The interface of every source of images."""

from typing import Any, Protocol

import numpy as np

from tfrecords_tools.shape import SQUARE, Base


class EightBitSquares:
    """A source whose images are squares of 8 bits a value: a base class."""

    base = SQUARE
    bits = 8


class Source(Protocol):
    """Numbered images of one size, in the source's own order.

    Picklable: every worker process gets a copy, and opens files for itself.
    """

    @property
    def count(self) -> int:
        """Number of images."""

    @property
    def channels(self) -> int:
        """1 (grayscale), 2 (with alpha), 3 (RGB) or 4 (RGBA)."""

    @property
    def resolution(self) -> int:
        """4 times a power of two; the side of squares in pixels."""

    @property
    def base(self) -> Base:
        """Height and width at resolution 4."""

    @property
    def bits(self) -> int:
        """Bits of a value, 8 or 16."""

    @property
    def shuffled(self) -> bool:
        """True if the original implementation shuffles images of this source."""

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """A name for each class; None without labels."""

    def labels(self) -> np.ndarray | None:
        """One-hot labels [count classes] float32 in the source's order; None without labels."""

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as [C H W] uint8, or uint16 where values have 16 bits.

        Raises:
          BadImageError: the image is damaged or cannot be made to fit.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return the manifest's entry about the source, as JSON values."""
        ...


def one_hot(classes: np.ndarray, size: int) -> np.ndarray:
    """One-hot rows [n size] float32 of class numbers [n] in 0..size-1."""
    rows = np.zeros((len(classes), size), np.float32)
    rows[np.arange(len(classes)), classes] = 1.0
    return rows
