"""One network of the original, in our terms, and the checks that its two versions share."""

import dataclasses
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pgan_tf.config import NetworkConfig
from pgan_tf.legacy.layout import Kind
from tfrecords_tools.errors import UserError


@dataclasses.dataclass(frozen=True)
class OriginalNetwork:
    """A network that was read.

    Attributes:
      kind: "generator" or "discriminator".
      name: what the file calls it, as `Gs`.
      version: "TensorFlow" or "Theano".
      config: its shape.
      lod: at which it was saved; 0 is the full resolution, fractional while one fades in.
      weights: by our names (`networks.Generator.variables`), float32, as we store them.
    """

    kind: Kind
    name: str
    version: str
    config: NetworkConfig
    lod: float
    weights: Mapping[str, np.ndarray]

    @property
    def resolution(self) -> int:
        """Of the stage it was saved at."""
        return self.config.resolutions[-1 - math.floor(self.lod)]

    @property
    def alpha(self) -> float | None:
        """How far its stage had faded in; None where that was over."""
        fraction = self.lod % 1
        return 1.0 - fraction if fraction else None


def checked_weights(value: Any, shape: Sequence[int], where: str) -> np.ndarray:
    """An array of weights as float32.

    Args:
      value: what stands in the file.
      shape: that it must have.
      where: how errors call it.

    Raises:
      UserError: it is none, has another shape, or holds something that is no number.
    """
    numbers = isinstance(value, (np.ndarray, np.generic, float))
    array = np.asarray(value if numbers else [])
    if not numbers or array.dtype.kind != "f" or array.shape != tuple(shape):
        received = f"{array.dtype} {list(array.shape)}" if numbers else type(value).__name__
        raise UserError(f"{where} must be floats {list(shape)}. Received: {received}")
    with np.errstate(over="ignore"):
        array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{where} holds numbers that are not finite; the network is broken")
    return array


def checked_lod(value: Any, config: NetworkConfig, where: str) -> float:
    """A network's lod.

    Raises:
      UserError: it is none that the network has.
    """
    largest = len(config.resolutions) - 1
    if isinstance(value, (np.ndarray, np.generic)) and value.size == 1:
        value = value.item()
    if not isinstance(value, (int, float)) or not 0 <= value <= largest:
        raise UserError(
            f"{where} must be a number in 0..{largest}. Received: {reprlib.repr(value)}"
        )
    return float(value)
