"""Features that compare the samples of a minibatch: standard deviation, and discrimination.

Saved models hold the name of the argument `parts` of both layers' calls, so it stays.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.config.network import full_stddev_group

# Standard deviation of the initial directions. Directions are normalized, so only its proportion to
# the learning rate matters; the value is that of Salimans et al.
_DIRECTION_STDDEV = 0.05


@keras.saving.register_keras_serializable("pgan_tf")
class MinibatchStdDev(keras.layers.Layer):
    """Appends a channel with the standard deviation within a group of samples (section 3).

    A minibatch of b samples falls into b / G groups, with G = min(group_size, b); sample i belongs
    to group i mod (b / G). The channel holds one number for each group: the population standard
    deviation over its samples of every feature and pixel, averaged over features and pixels.
    Computed in float32.

    Should G not divide b, the largest divisor of b below it is taken, so that a last short batch
    works.

    Args:
      group_size: most samples in a group; 0: all samples are one group.

    Input: `[parts*b h w c]`. Output: `[parts*b h w c+1]`, the new channel last.

    Raises:
      ValueError: `group_size` is below 0.
    """

    def __init__(self, group_size: int = 4, **kwargs: Any):
        super().__init__(**kwargs)
        if group_size < 0:
            raise ValueError(f"group_size must be at least 0. Received: {group_size}")
        self.group_size = group_size

    def call(self, inputs: tf.Tensor, parts: int = 1) -> tf.Tensor:
        """Append the channel.

        Args:
          inputs: `[parts*b h w c]`.
          parts: number of minibatches in `inputs`, one after the other, each grouped by itself.
        """
        batch = inputs.shape[0] if inputs.shape[0] is not None else tf.shape(inputs)[0]
        batch = batch // parts
        size = self._group_size(batch)
        height, width, channels = inputs.shape[1:]
        x = tf.cast(inputs, tf.float32)
        x = tf.reshape(x, [parts, size, batch // size, height, width, channels])  # [P G M h w c]
        x -= tf.reduce_mean(x, axis=1, keepdims=True)
        x = tf.sqrt(tf.reduce_mean(tf.square(x), axis=1) + 1e-8)  # [P M h w c]
        x = tf.reduce_mean(x, axis=[2, 3, 4])  # [P M]
        x = tf.repeat(x[:, None], size, axis=1)  # [P G M]
        x = tf.tile(tf.reshape(x, [-1, 1, 1, 1]), [1, height, width, 1])  # [P*b h w 1]
        return tf.concat([inputs, tf.cast(x, inputs.dtype)], axis=-1)

    def _group_size(self, batch: int | tf.Tensor) -> int | tf.Tensor:
        if isinstance(batch, int):
            full = full_stddev_group(self.group_size, batch)
            return next(size for size in range(full, 0, -1) if batch % size == 0)
        if not self.group_size:
            return batch
        sizes = tf.range(1, self.group_size + 1)
        return tf.reduce_max(tf.where(batch % sizes == 0, sizes, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(parts*b, h, w, c+1)`."""
        return (*input_shape[:-1], (input_shape[-1] or 0) + 1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "group_size": self.group_size}


@keras.saving.register_keras_serializable("pgan_tf")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to each sample its closeness to the others of the minibatch, by learned kernels.

    A kernel projects samples x_i to a few dimensions, M_i = T x_i. Its feature of sample i is the
    sum over the other samples j of exp(-|M_i - M_j|_1), plus a bias (Salimans et al. 2016,
    "Improved techniques for training GANs", section 3.2). The columns of T are weight-normalized:
    exp(log_scale) * direction / |direction| (Salimans and Kingma 2016). Computed in float32.

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
        """Create the weights for inputs `(parts*b, in)`."""
        # Never cast to a lower precision: distances are differences of similar numbers.
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
        """Append the features.

        Args:
          inputs: `[parts*b in]`.
          parts: number of minibatches in `inputs`, one after the other, each compared by itself.
        """
        direction, log_scale = map(tf.convert_to_tensor, (self.direction, self.log_scale))
        projection = direction * (tf.exp(log_scale) * _inverse_norm(direction))
        x = tf.tensordot(tf.cast(inputs, tf.float32), projection, 1)  # [P*b K D]
        x = tf.reshape(x, [parts, -1, self.kernels, self.dims])  # [P b K D]
        distances = tf.reduce_sum(tf.abs(x[:, :, None] - x[:, None]), axis=-1)  # [P b b K]
        # Less 1, which is the share of the sample itself.
        closeness = tf.reduce_sum(tf.exp(-distances), axis=2) - 1.0  # [P b K]
        closeness = tf.reshape(closeness, [-1, self.kernels]) + tf.convert_to_tensor(self.bias)
        return tf.concat([inputs, tf.cast(closeness, inputs.dtype)], axis=-1)

    def fit(self, inputs: np.ndarray) -> None:
        """Set scales and biases from data: data-dependent initialization.

        With all of `inputs` as one minibatch, each kernel then has a mean distance of 2 from a
        sample to its nearest neighbor, and a feature of mean 0. So the exponentials neither vanish
        nor saturate, whatever the size of the inputs. These are the choices of Salimans et al.

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
            # A single sample, or equal samples, have no scale.
            scale = 2.0 / nearest if 0.0 < nearest < math.inf else 1.0
            log_scale[kernel] = math.log(scale)
            bias[kernel] = -np.exp(-scale * distances).sum(axis=1).mean()
        self.log_scale.assign(log_scale)
        self.bias.assign(bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(parts*b, in+kernels)`."""
        return (*input_shape[:-1], (input_shape[-1] or 0) + self.kernels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "kernels": self.kernels,
            "dims": self.dims,
            "seed": self.seed,
        }


def _inverse_norm(direction: tf.Tensor) -> tf.Tensor:
    """Return one over the length of each column: `[in K D]` to `[K D]`."""
    return tf.math.rsqrt(tf.reduce_sum(tf.square(direction), axis=0))
