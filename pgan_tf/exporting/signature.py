"""What exported graphs take and give."""

from collections.abc import Callable

import keras
import tensorflow as tf


def input_specs(model: keras.Model) -> list[tf.TensorSpec]:
    """The inputs of a model as specifications of tensors: float32, any batch size."""
    return [tf.TensorSpec([None, *i.shape[1:]], tf.float32, name=i.name) for i in model.inputs]


def image_function(model: keras.Model, output_type: str) -> Callable[..., dict[str, tf.Tensor]]:
    """A function of a generator's inputs that gives `{"images": [b h w c]}`.

    Args:
      model: a generator.
      output_type: "float32", nominally in [-1, 1], or "uint8", rounded and clipped.
    """

    def generate(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        return {"images": quantize(images) if output_type == "uint8" else images}

    return generate


def quantize(images: tf.Tensor) -> tf.Tensor:
    """Floats in [-1, 1] to uint8 in [0, 255], as `sampling.to_uint8` does."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0.0, 255.0), tf.uint8)
