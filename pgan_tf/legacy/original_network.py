"""One network of the original in our layout, and the checks that its two versions share."""

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
    """A network read from a file.

    Attributes:
      kind: "generator" or "discriminator".
      name: of the network in the file, as `Gs`.
      version: of the original, "TensorFlow" or "Theano".
      config: the network's shape.
      lod: level of detail at which it was saved: 0 is the full resolution, and each halving adds 1;
        fractional while a resolution fades in.
      weights: float32 arrays as we store them, by our names (`Network.variables`).
    """

    kind: Kind
    name: str
    version: str
    config: NetworkConfig
    lod: float
    weights: Mapping[str, np.ndarray]

    @property
    def resolution(self) -> int:
        """Resolution of the stage at which the network was saved."""
        return self.config.resolutions[-1 - math.floor(self.lod)]

    @property
    def alpha(self) -> float | None:
        """Alpha of that stage while it fades in; None afterwards."""
        fraction = self.lod % 1
        return 1.0 - fraction if fraction else None


def checked_weights(value: Any, shape: Sequence[int], where: str) -> np.ndarray:
    """Return an array of weights as float32.

    Args:
      value: from the file.
      shape: required of the array.
      where: the file and the array, for error messages.

    Raises:
      UserError: it is not an array of floats, has another shape, or holds non-finite numbers.
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
    """Return a network's lod.

    Raises:
      UserError: it is not a number in the range of the network's resolutions.
    """
    largest = len(config.resolutions) - 1
    if isinstance(value, (np.ndarray, np.generic)) and value.size == 1:
        value = value.item()
    if not isinstance(value, (int, float)) or not 0 <= value <= largest:
        raise UserError(
            f"{where} must be a number in 0..{largest}. Received: {reprlib.repr(value)}"
        )
    return float(value)
