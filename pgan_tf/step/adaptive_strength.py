"""Strength of augmentation adapted to overfitting: ADA (Karras et al. 2020, section 3)."""

import keras
import tensorflow as tf

from pgan_tf.config import AugmentConfig

# Iterations between two changes (section 3).
_INTERVAL = 4


class AdaptiveStrength:
    """The strength p, which rises while the discriminator knows reals by heart, and falls else.

    The signal is r_t, the mean sign of the scores of reals over the last four iterations. p changes
    at the rate at which it would go from 0 to 1 over `augment_kimg`.

    Args:
      config: of the run.

    Attributes:
      variables: p, a scalar, and the sum of signs and the number of iterations since p has changed,
        `[2]`; by their names in checkpoints.
    """

    def __init__(self, config: AugmentConfig):
        self._config = config
        self._p = keras.Variable(0.0, trainable=False, name="augment_p")
        self._signs = keras.Variable(tf.zeros([2]), trainable=False, name="augment_signs")
        self.variables = {variable.name: variable.value for variable in (self._p, self._signs)}

    def value(self) -> tf.Tensor:
        """Return p."""
        return tf.convert_to_tensor(self._p.value)

    def update(self, mean_sign: tf.Tensor, batch_size: int) -> None:
        """Take an iteration into account.

        Args:
          mean_sign: scalar in [-1, 1], over all replicas; one that is not finite changes nothing.
          batch_size: global, in images.
        """
        is_finite = tf.math.is_finite(mean_sign)
        added = tf.where(is_finite, tf.stack([mean_sign, 1.0]), tf.zeros([2]))
        signs = self._signs.value + added
        is_due = signs[1] >= _INTERVAL
        signal = signs[0] / tf.maximum(signs[1], 1.0)
        rate = _INTERVAL * batch_size / (1000.0 * self._config.augment_kimg)
        moved = self._p.value + rate * tf.sign(signal - self._config.augment_target)
        self._p.assign(tf.where(is_due, tf.clip_by_value(moved, 0.0, 1.0), self._p.value))
        self._signs.assign(tf.where(is_due, tf.zeros([2]), signs))
