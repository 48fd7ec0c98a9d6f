"""Resampling by two: nearest up, 2x2 mean down."""

import keras
import tensorflow as tf


def upscale2d(x: tf.Tensor) -> tf.Tensor:
    """Repeats each pixel 2x2: `[b h w c]` to `[b 2h 2w c]`."""
    # Not tf.image.resize: its nearest mode has no second-order gradient.
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def downscale2d(x: tf.Tensor) -> tf.Tensor:
    """Means of 2x2 pixels: `[b 2h 2w c]` to `[b h w c]`."""
    return tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID")


@keras.saving.register_keras_serializable("pgan_tf")
class UpScale2D(keras.layers.Layer):
    """Doubles the resolution by repeating pixels: `[b h w c]` to `[b 2h 2w c]`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return upscale2d(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        return (batch, height and 2 * height, width and 2 * width, channels)


@keras.saving.register_keras_serializable("pgan_tf")
class DownScale2D(keras.layers.Layer):
    """Halves the resolution by 2x2 means: `[b 2h 2w c]` to `[b h w c]`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return downscale2d(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        return (batch, height and height // 2, width and width // 2, channels)
