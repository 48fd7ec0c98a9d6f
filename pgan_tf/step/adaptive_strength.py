"""Strength of augmentation adapted to overfitting: ADA (Karras et al. 2020, section 3)."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from pgan_tf.config import AugmentConfig
from pgan_tf.step.outputs import Scalars

# Iterations between two changes, over which the signal is taken (section 3).
_INTERVAL = 4
# The least distance of scores of reals and fakes, by their size, that is more than rounding.
_LEAST_DISTANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Signal:
    """A measure of overfitting: 0 for none, 1 if the discriminator knows the reals by heart.

    Attributes:
      follows: names of the scalars that it is made of.
      value: the measure, from their means, in that order.
      sums_name: name of the variable of their sums in checkpoints.
    """

    follows: tuple[str, ...]
    value: Callable[..., tf.Tensor]
    sums_name: str


class AdaptiveStrength:
    """The strength p, which rises while the signal is above its target, and falls else.

    p changes at the rate at which it would go from 0 to 1 over `augment_kimg`.

    Args:
      config: of the run.
      signal: `r_t` or `r_v` (equation 1).

    Attributes:
      follows: names of the scalars that the signal is made of.
      variables: p, a scalar, and the sums of these scalars and the number of iterations since p has
        changed, `[n+1]`; by their names in checkpoints.
    """

    def __init__(self, config: AugmentConfig, signal: str):
        self._name, self._signal = f"augment/{signal}", _SIGNALS[signal]
        self.follows = self._signal.follows
        self._target, self._kimg = config.target_of(signal), config.augment_kimg
        zeros = tf.zeros([len(self.follows) + 1])
        self._p = keras.Variable(0.0, trainable=False, name="augment_p")
        self._sums = keras.Variable(zeros, trainable=False, name=self._signal.sums_name)
        self.variables = {variable.name: variable.value for variable in (self._p, self._sums)}

    def value(self) -> tf.Tensor:
        """Return p."""
        return tf.convert_to_tensor(self._p.value)

    def update(self, scalars: Scalars, batch_size: int) -> Scalars:
        """Take an iteration into account, unless one of its scalars is not finite.

        Args:
          scalars: those of `follows`, means over all replicas.
          batch_size: global, in images.

        Returns:
          The signal since p has changed, this iteration included.
        """
        added = tf.stack([*(scalars[name] for name in self.follows), 1.0])
        is_finite = tf.reduce_all(tf.math.is_finite(added))
        sums = self._sums.value + tf.where(is_finite, added, tf.zeros_like(added))
        is_due = sums[-1] >= _INTERVAL
        signal = self._signal.value(*tf.unstack(sums[:-1] / tf.maximum(sums[-1], 1.0)))
        rate = _INTERVAL * batch_size / (1000.0 * self._kimg)
        moved = self._p.value + rate * tf.sign(signal - self._target)
        self._p.assign(tf.where(is_due, tf.clip_by_value(moved, 0.0, 1.0), self._p.value))
        self._sums.assign(tf.where(is_due, tf.zeros_like(sums), sums))
        return {self._name: signal}


def validation_signal(
    real_score: tf.Tensor, validation_score: tf.Tensor, fake_score: tf.Tensor
) -> tf.Tensor:
    """Return r_v = (E[D(reals)] - E[D(held out)]) / (E[D(reals)] - E[D(fakes)]), in [-1, 1].

    A discriminator that scores reals no higher than fakes has learned nothing by heart: 0.

    Args:
      real_score: scalar, mean score of reals.
      validation_score: scalar, mean score of held-out images.
      fake_score: scalar, mean score of fakes.
    """
    distance = real_score - fake_score
    least = _LEAST_DISTANCE * (tf.abs(real_score) + tf.abs(fake_score))
    ratio = (real_score - validation_score) / distance
    is_known = (distance > least) & tf.math.is_finite(ratio)
    return tf.where(is_known, tf.clip_by_value(ratio, -1.0, 1.0), 0.0)


_SIGNALS = {
    "r_t": Signal(("scores/real_sign",), lambda mean_sign: mean_sign, "augment_signs"),
    "r_v": Signal(
        ("scores/real", "scores/validation", "scores/fake"), validation_signal, "augment_scores"
    ),
}
