"""Power-function averages of the generator's weights.

From Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models",
section 3.1. At n images seen, such an average weighs the weights that training had at m images by
m^gamma: its profile is (gamma + 1) m^gamma / n^(gamma + 1) for m from 0 to n (equation 1). Its
length is the standard deviation of the profile as a fraction of n.
"""

import math
from collections.abc import Iterable, Mapping

import keras
import tensorflow as tf


def length_of(exponent: float) -> float:
    """Return the length of an exponent: equation 3 of the paper.

    Args:
      exponent: gamma, from 0.
    """
    return math.sqrt(exponent + 1) / ((exponent + 2) * math.sqrt(exponent + 3))


def exponent_of(length: float) -> float:
    """Return the exponent of a length, gamma.

    Args:
      length: above 0, and at most that of the exponent 0, 1 / sqrt(12).
    """
    # The length falls with the exponent, and is below 1 / (exponent + 2).
    low, high = 0.0, 1 / length
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if length_of(middle) > length else (low, middle)
    return low


class PowerAverage:
    """An average of a generator's weights, of a length, over all images that a run has shown.

    Weights of layers that have not begun to train are constant, and so is their average.

    Attributes:
      length: standard deviation of the profile, as a fraction of the images seen.
      name: in checkpoints.
      variables: by their names in the generator, in float32.
    """

    def __init__(self, length: float, generator: Mapping[str, keras.Variable]):
        """Make variables of zeros, in a strategy's scope.

        Args:
          length: see above.
          generator: its variables by name.
        """
        self.length = length
        self.name = f"generator_ema_{length}"
        self.variables = {
            path: keras.Variable("zeros", shape=v.shape, dtype="float32", trainable=False)
            for path, v in generator.items()
        }
        self._exponent = exponent_of(length)

    def copy(self, generator: Mapping[str, keras.Variable]) -> None:
        """Copy the weights of a generator that has not begun to train."""
        for path, variable in self.variables.items():
            variable.assign(generator[path])

    def update(
        self, generator: Iterable[keras.Variable], images_seen: tf.Tensor, batch_size: int
    ) -> None:
        """Add the weights with which the generator has been shown a batch.

        Args:
          generator: the variables in training.
          images_seen: scalar int64, before the batch.
          batch_size: global batch size.
        """
        # Equation 2, beta = (1 - 1/t)^(gamma + 1), is the ratio of n^(gamma + 1) before and after
        # a step, so it holds for batches of any sizes. 1 - beta is computed by itself, because it
        # is as small as a float's rounding of beta.
        seen = tf.cast(images_seen + batch_size, tf.float32)
        rate = -tf.math.expm1((self._exponent + 1) * tf.math.log1p(-batch_size / seen))
        for variable in generator:
            average = self.variables[variable.path]
            average.assign(average + (variable - average) * rate)
