"""One hidden layer of a network."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def unchanged(x: tf.Tensor, **_: Any) -> tf.Tensor:
    """What stands in the place of a step that a network leaves out."""
    return x


class HiddenLayer:
    """Weights and their bias, then, where there is one, a normalisation, then an activation.

    Args:
      name: of the layer that has the weights.
      weighted: a product with weights; its bias is part of it, unless `normalize` adds one.
      normalize: a function of its output and of what a call says of the minibatch.
      activate: what comes last.
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
        self, x: tf.Tensor, *, noise: Callable[..., tf.Tensor] = unchanged, **minibatch: Any
    ) -> tf.Tensor:
        """Runs it.

        Args:
          x: its input.
          noise: what its input goes through first, `noise(x, layer=name)`.
          **minibatch: what the batch is, for normalisations that look at all of it:
            `BatchNorm.call`'s `training` and `parts`.
        """
        x = self._weighted(noise(x, layer=self._name))
        return self._activate(self._normalize(x, **minibatch))
