"""Dynamic loss scaling, which keeps float16's gradients in its range (Micikevicius et al. 2018)."""

from collections.abc import Sequence

import tensorflow as tf

INITIAL_SCALE = 2.0**15
LEAST_SCALE = 1.0
MOST_SCALE = 2.0**30
# Updates in a row without overflow, after which the scale is doubled.
GROWTH_INTERVAL = 2000


class Unscaled:
    """No scaling: what float32 and bfloat16, whose range is float32's, need."""

    variables: tuple[tf.Variable, ...] = ()

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to take gradients of."""
        return loss

    def unscale(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients of the loss itself, from those of the scaled one."""
        return list(gradients)

    def update(self, finite: tf.Tensor) -> None:
        """Takes note of whether the gradients of all replicas were finite, a scalar bool."""


UNSCALED = Unscaled()


class LossScale(Unscaled):
    """A power of two that falls when gradients overflow, and rises when they have long not.

    Create it in a strategy's scope. It changes by what the replicas agree on, the finiteness of
    their mean gradient, so that it is the same on all of them without an exchange of its own.
    """

    def __init__(self, name: str):
        """
        Args:
          name: of its variables, in checkpoints.
        """
        self._scale = tf.Variable(INITIAL_SCALE, trainable=False, name=f"{name}/scale")
        self._finite_updates = tf.Variable(
            0, dtype=tf.int64, trainable=False, name=f"{name}/finite_updates"
        )

    @property
    def variables(self) -> tuple[tf.Variable, ...]:  # type: ignore[override]
        return (self._scale, self._finite_updates)

    @property
    def value(self) -> tf.Tensor:
        """The scale, a scalar float32."""
        return self._scale.read_value()

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        return loss * self.value

    def unscale(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        factor = 1.0 / self.value
        return [gradient * factor for gradient in gradients]

    def update(self, finite: tf.Tensor) -> None:
        count = tf.where(finite, self._finite_updates + 1, 0)
        grows = count >= GROWTH_INTERVAL
        factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        self._scale.assign(tf.clip_by_value(self.value * factor, LEAST_SCALE, MOST_SCALE))
        self._finite_updates.assign(tf.where(grows, tf.zeros_like(count), count))
