"""A bias of its own, for where it is not added right after a product."""

import keras
import tensorflow as tf

from pgan_tf.layers.bias import add_bias


@keras.saving.register_keras_serializable("pgan_tf")
class ChannelBias(keras.layers.Layer):
    """Adds one value a channel, starting at 0: `[b h w c]` to `[b h w c]`.

    The generator's first dense layer fills 4x4 pixels but has one bias a feature map.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return add_bias(inputs, tf.convert_to_tensor(self.bias))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
