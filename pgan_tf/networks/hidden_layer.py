"""One hidden layer of a network."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def identity(x: tf.Tensor, **_: Any) -> tf.Tensor:
    """Return `x`: the step that a network leaves out."""
    return x


class HiddenLayer:
    """A product with weights, then a normalization (or none), then an activation.

    Args:
      name: of the layer with the weights.
      weighted: the product. It adds the bias, unless `normalize` does.
      normalize: called with the product and the call's keyword arguments.
      activate: the activation.
    """

    def __init__(
        self,
        name: str,
        weighted: Callable[[tf.Tensor], tf.Tensor],
        normalize: Callable[..., tf.Tensor],
        activate: Callable[[tf.Tensor], tf.Tensor],
    ):
        self._name = name
        self._weighted = weighted
        self._normalize = normalize
        self._activate = activate

    def __call__(
        self, x: tf.Tensor, *, noise: Callable[..., tf.Tensor] = identity, **minibatch: Any
    ) -> tf.Tensor:
        """Run the layer.

        Args:
          x: its input.
          noise: applied to the input first, as `noise(x, layer=name)`.
          **minibatch: keyword arguments of `BatchNorm.call`: `training` and `parts`.
        """
        x = self._weighted(noise(x, layer=self._name))
        return self._activate(self._normalize(x, **minibatch))
