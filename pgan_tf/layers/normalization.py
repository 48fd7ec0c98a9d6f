"""Batch and layer normalization, which stand before activations in some ablations (table 1)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pgan_tf")
class BatchNorm(keras.layers.Layer):
    """Normalizes each feature over samples and pixels, then scales and shifts it (Ioffe 2015).

    In training, mean and variance are those of the global batch, so that the number of replicas
    makes no difference; each step moves the moving averages by 1 - `momentum` of the way to them.
    Otherwise the moving averages are used, so that an output depends on its own sample only.
    Computed in float32. It can be differentiated twice. A layer before it needs no bias.

    Args:
      momentum: of the moving averages.
      epsilon: added to the variance.

    Input: `[parts*b ... c]`. Output: the same shape.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-4, **kwargs: Any):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the variables for inputs `(parts*b, ..., c)`."""

        def add(name: str, initializer: str, *, trainable: bool) -> keras.Variable:
            return self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                initializer=initializer,
                trainable=trainable,
                autocast=False,
            )

        self.scale = add("scale", "ones", trainable=True)
        self.bias = add("bias", "zeros", trainable=True)
        self.moving_mean = add("moving_mean", "zeros", trainable=False)
        self.moving_variance = add("moving_variance", "ones", trainable=False)

    def call(self, inputs: tf.Tensor, training: bool = False, parts: int = 1) -> tf.Tensor:
        """Normalize a batch.

        Args:
          inputs: `[parts*b ... c]`.
          training: whether to take and to record the statistics of the batch.
          parts: number of minibatches in the batch, one after the other, each normalized by its own
            statistics. Saved models hold this argument's name.
        """
        x = tf.cast(inputs, tf.float32)
        if training:
            x = self._normalize_batches(x, parts)
        else:
            x -= tf.convert_to_tensor(self.moving_mean)
            x *= tf.math.rsqrt(tf.convert_to_tensor(self.moving_variance) + self.epsilon)
        x = x * tf.convert_to_tensor(self.scale) + tf.convert_to_tensor(self.bias)
        return tf.cast(x, self.compute_dtype)

    def _normalize_batches(self, x: tf.Tensor, num_minibatches: int) -> tf.Tensor:
        shape = tf.shape(x)
        x = tf.reshape(x, [num_minibatches, -1, x.shape[-1]])  # [M n c], n samples and pixels
        mean = _mean_over_replicas(tf.reduce_mean(x, axis=1, keepdims=True))
        x -= mean
        variance = _mean_over_replicas(tf.reduce_mean(tf.square(x), axis=1, keepdims=True))
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return tf.reshape(x * tf.math.rsqrt(variance + self.epsilon), shape)

    def _move(self, average: keras.Variable, values: tf.Tensor) -> None:
        old = tf.convert_to_tensor(average)
        new = old + (tf.reduce_mean(values, axis=[0, 1]) - old) * (1.0 - self.momentum)
        # A step whose numbers overflow is skipped, and must leave no trace here either.
        average.assign(tf.where(tf.math.is_finite(new), new, old))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


@tf.custom_gradient
def _mean_over_replicas(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    context = tf.distribute.get_replica_context()
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, x)
    # A mean of means is its own adjoint. TensorFlow's own gradient of the sum has none for some
    # strategies, and the gradient penalty needs it.
    return total / context.num_replicas_in_sync, _mean_over_replicas


@keras.saving.register_keras_serializable("pgan_tf")
class LayerNorm(keras.layers.Layer):
    """Normalizes each sample over features and pixels, then scales and shifts it (Ba 2016).

    One gain for the whole layer and one bias a feature, as in the paper's table 1 (a). Computed in
    float32. A layer before it needs no bias.

    Args:
      epsilon: added to the variance.

    Input: `[b ... c]`. Output: the same shape.
    """

    def __init__(self, epsilon: float = 1e-4, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the variables for inputs `(b, ..., c)`."""
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones", autocast=False)
        self.bias = self.add_weight(
            name="bias", shape=(input_shape[-1],), initializer="zeros", autocast=False
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalize `[b ... c]`."""
        x = tf.cast(inputs, tf.float32)
        axes = list(range(1, len(x.shape)))
        x -= tf.reduce_mean(x, axis=axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(x), axis=axes, keepdims=True)
        x *= tf.math.rsqrt(variance + self.epsilon) * tf.convert_to_tensor(self.gain)
        return tf.cast(x + tf.convert_to_tensor(self.bias), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
