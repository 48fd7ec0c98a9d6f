"""Minibatch standard deviation (section 3 of the paper)."""

from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config.network import full_stddev_group


@keras.saving.register_keras_serializable("pgan_tf")
class MinibatchStdDev(keras.layers.Layer):
    """Appends a channel that says how much the samples of a group differ.

    A batch of b samples falls into b / G groups, with G = min(group_size, b); sample i belongs to
    group i mod (b / G). For each group: the population standard deviation over its samples of every
    feature and pixel, averaged over features and pixels to one number. Computed in float32.

    Should G not divide b, the largest divisor of b below it is taken, so that a last short batch
    works.

    Args:
      group_size: most samples in a group; 0: all samples are one.

    A call with `parts` takes so many minibatches, one after the other, each grouped apart.

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
        return (*input_shape[:-1], (input_shape[-1] or 0) + 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "group_size": self.group_size}
