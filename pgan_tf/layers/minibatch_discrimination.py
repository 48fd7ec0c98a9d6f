"""Minibatch discrimination (Salimans et al. 2016, "Improved techniques for training GANs")."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Of the directions' initial values. Only its proportion to the learning rate matters, because
# directions are normalised; it is that of the authors of minibatch discrimination.
_DIRECTION_STDDEV = 0.05


@keras.saving.register_keras_serializable("pgan_tf")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to each sample how close the others of its minibatch are, by learned kernels.

    A kernel projects samples x_i to a few dimensions, M_i = T x_i, and its feature of sample i is
    the sum over the other samples j of exp(-|M_i - M_j|_1), plus a bias (section 3.2 of Salimans et
    al. 2016). The columns of T are weight-normalised: exp(log_scale) * direction / |direction|
    (Salimans and Kingma 2016). Computed in float32.

    A call with `parts` takes so many minibatches, one after the other, each apart.

    Args:
      kernels: number of features that are appended.
      dims: dimensions that each kernel projects to.
      seed: of the initial directions.

    Input: `[parts*b in]`. Output: `[parts*b in+kernels]`, the new features last.
    """

    def __init__(
        self, kernels: int = 100, dims: int = 5, *, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.kernels = kernels
        self.dims = dims
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # Never cast to a lower precision: distances are differences of like numbers.
        self.direction = self.add_weight(
            name="direction",
            shape=(input_shape[-1], self.kernels, self.dims),
            initializer=keras.initializers.RandomNormal(stddev=_DIRECTION_STDDEV, seed=self.seed),
            autocast=False,
        )
        self.log_scale = self.add_weight(
            name="log_scale", shape=(self.kernels, self.dims), initializer="zeros", autocast=False
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.kernels,), initializer="zeros", autocast=False
        )

    def call(self, inputs: tf.Tensor, parts: int = 1) -> tf.Tensor:
        direction, log_scale = map(tf.convert_to_tensor, (self.direction, self.log_scale))
        projection = direction * (tf.exp(log_scale) * _inverse_norm(direction))
        x = tf.tensordot(tf.cast(inputs, tf.float32), projection, 1)  # [P*b K D]
        x = tf.reshape(x, [parts, -1, self.kernels, self.dims])  # [P b K D]
        distances = tf.reduce_sum(tf.abs(x[:, :, None] - x[:, None]), axis=-1)  # [P b b K]
        # Less one, which is what the distance of a sample to itself gives.
        closeness = tf.reduce_sum(tf.exp(-distances), axis=2) - 1.0  # [P b K]
        closeness = tf.reshape(closeness, [-1, self.kernels]) + tf.convert_to_tensor(self.bias)
        return tf.concat([inputs, tf.cast(closeness, inputs.dtype)], axis=-1)

    def fit(self, inputs: np.ndarray) -> None:
        """Sets scales and biases by what the layer will be given: data-dependent initialisation.

        With all of `inputs` as one minibatch, a sample's nearest other is at a distance of 2 by
        each kernel, in the mean over samples, and each feature's mean is 0. So the exponentials
        neither vanish nor saturate, whatever the features' size. These are the choices of the
        authors of minibatch discrimination.

        Args:
          inputs: `[n in]`, features of n samples.
        """
        direction = self.direction.numpy()
        projected = np.tensordot(
            np.asarray(inputs, np.float32), direction * _inverse_norm(direction).numpy(), 1
        )
        log_scale = np.zeros([self.kernels, self.dims], np.float32)
        bias = np.zeros([self.kernels], np.float32)
        for kernel in range(self.kernels):  # one by one, as 500 samples have 250,000 distances
            values = projected[:, kernel]  # [n D]
            distances = np.abs(values[:, None] - values[None]).sum(axis=-1)  # [n n]
            np.fill_diagonal(distances, np.inf)
            nearest = float(distances.min(axis=1).mean())
            # A single sample, or samples all alike, tell no scale.
            scale = 2.0 / nearest if 0.0 < nearest < math.inf else 1.0
            log_scale[kernel] = math.log(scale)
            bias[kernel] = -np.exp(-scale * distances).sum(axis=1).mean()
        self.log_scale.assign(log_scale)
        self.bias.assign(bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], (input_shape[-1] or 0) + self.kernels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernels": self.kernels,
            "dims": self.dims,
            "seed": self.seed,
        }


def _inverse_norm(direction: tf.Tensor) -> tf.Tensor:
    """One over the length of each column: `[in K D]` to `[K D]`."""
    return tf.math.rsqrt(tf.reduce_sum(tf.square(direction), axis=0))
