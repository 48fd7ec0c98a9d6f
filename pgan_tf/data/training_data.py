"""What training asks of its data, wherever that is; no TensorFlow."""

from pathlib import Path
from typing import Protocol

import numpy as np


class Images(Protocol):
    """One resolution of the data."""

    def read(self, indices: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
        """Images `[k c h w]` uint8 by number `[k]`, in `out` where it is given."""
        ...


class TrainingData(Protocol):
    """A `tfrecords_tools.format.Pyramid` on disk, or a `RemotePyramid` behind a URL.

    Attributes:
      directory: its path or its URL.
      count: number of images.
      channels: 1 or 3.
      resolution: side in pixels at the full resolution.
      labels: `[count label_size]` float32, or None.
      label_names: a name for each column of `labels`, where they have names.
      label_size: 0 where there are no labels.
    """

    @property
    def directory(self) -> Path | str: ...
    @property
    def count(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def resolution(self) -> int: ...
    @property
    def labels(self) -> np.ndarray | None: ...
    @property
    def label_names(self) -> tuple[str, ...] | None: ...
    @property
    def label_size(self) -> int: ...

    def level(self, resolution: int) -> Images:
        """The images at a resolution."""
        ...
