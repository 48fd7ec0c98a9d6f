"""Dynamic loss scaling, which keeps float16's gradients in its range (Micikevicius et al. 2018)."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

INITIAL_SCALE = 2.0**15
MIN_SCALE = 1.0
MAX_SCALE = 2.0**30
# Consecutive updates without overflow after which the scale doubles.
GROWTH_INTERVAL = 2000


class LossScale(Protocol):
    """A factor on a loss, by which its gradients are divided again."""

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """Variables for checkpoints, named after the loss."""

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """Return the scaled loss, to take gradients of."""

    def unscale(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradients of the loss from those of the scaled loss."""

    def update(self, finite: tf.Tensor) -> None:
        """Adjust the scale after an update.

        Args:
          finite: scalar bool, the same on all replicas: all gradients were finite.
        """


class NoLossScale:
    """A scale of 1, for float32, and for bfloat16, which has float32's range."""

    variables: tuple[tf.Variable, ...] = ()

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """Return the loss itself."""
        return loss

    def unscale(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradients themselves."""
        return list(gradients)

    def update(self, finite: tf.Tensor) -> None:
        """Do nothing."""


NO_LOSS_SCALE = NoLossScale()


class DynamicLossScale:
    """A power of two: halved when gradients overflow, doubled after a long time without.

    Create it in a strategy's scope. All replicas adjust it by the same value, the finiteness of
    their mean gradient, so it stays equal without an exchange of its own.

    Args:
      name: prefix of its variables' names in checkpoints.
    """

    def __init__(self, name: str):
        self._scale = tf.Variable(INITIAL_SCALE, trainable=False, name=f"{name}/scale")
        self._finite_updates = tf.Variable(
            0, dtype=tf.int64, trainable=False, name=f"{name}/finite_updates"
        )

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The scale, and the number of consecutive updates without overflow."""
        return (self._scale, self._finite_updates)

    @property
    def value(self) -> tf.Tensor:
        """The scale, a scalar float32."""
        return self._scale.read_value()

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """Return the loss times the scale."""
        return loss * self.value

    def unscale(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradients divided by the scale."""
        factor = 1.0 / self.value
        return [gradient * factor for gradient in gradients]

    def update(self, finite: tf.Tensor) -> None:
        """Halve the scale after an overflow; double it after `GROWTH_INTERVAL` updates without."""
        count = tf.where(finite, self._finite_updates + 1, 0)
        grows = count >= GROWTH_INTERVAL
        factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        self._scale.assign(tf.clip_by_value(self.value * factor, MIN_SCALE, MAX_SCALE))
        self._finite_updates.assign(tf.where(grows, tf.zeros_like(count), count))
