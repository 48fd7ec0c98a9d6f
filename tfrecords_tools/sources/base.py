"""What every source of images offers."""

from typing import Any, Protocol

import numpy as np

from tfrecords_tools.errors import UserError


class BadImageError(UserError):
    """One image that cannot be used, which `--skip_bad_images` may leave out.

    Attributes:
      name: the image's file, or how else the user finds it.
      reason: why it cannot be used.
    """

    def __init__(self, name: str, reason: str):
        """Both arguments go to `Exception`, so that the error can cross to another process."""
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Source(Protocol):
    """Images of one size, numbered, in the source's own order. Picklable: workers get a copy."""

    @property
    def count(self) -> int:
        """Number of images."""

    @property
    def channels(self) -> int:
        """1 (grayscale) or 3 (RGB)."""

    @property
    def resolution(self) -> int:
        """Side of the images in pixels, a power of two from 4."""

    @property
    def shuffled(self) -> bool:
        """Whether the original implementation shuffles images from such a source."""

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """A name for each class; None without labels."""

    def labels(self) -> np.ndarray | None:
        """One-hot labels [count classes] float32 in the source's order; None without labels."""

    def load(self, index: int) -> np.ndarray:
        """Image `index` as [C H W] uint8.

        Raises:
          BadImageError: the image is damaged or cannot be made to fit.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What the manifest says about the source, as JSON values."""
        ...


def one_hot(classes: np.ndarray, size: int) -> np.ndarray:
    """One-hot rows [n size] float32 of class numbers [n] in 0..size-1."""
    rows = np.zeros((len(classes), size), np.float32)
    rows[np.arange(len(classes)), classes] = 1.0
    return rows
