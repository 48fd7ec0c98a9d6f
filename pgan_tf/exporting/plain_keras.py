"""Keras files of Keras's own layers, which load where this project is not installed."""

from typing import Any

import keras
import numpy as np

from pgan_tf.layers import (
    BatchNorm,
    ChannelBias,
    EqualizedConv2D,
    EqualizedDense,
    LeakyReLU,
    PixelNorm,
    UpScale2D,
    WeightedSum,
    transposed_kernel,
)


def as_plain_keras(model: keras.Model) -> keras.Model:
    """The same function made of Keras's own layers, in float32.

    The scales of equalized layers are multiplied into their kernels, so it is for drawing images:
    training would go on with other learning rates. Layer names stay as they are.

    Args:
      model: a generator.

    Returns:
      A model of the same inputs and output; `model` itself if it is such a one.
    """
    if not any(isinstance(layer, EqualizedDense) for layer in model.layers):
        return model
    plain = keras.models.clone_model(
        model, clone_function=_plain_layer, call_function=_RepeatedNorms()
    )
    weights = {
        layer.name: _plain_weights(layer)
        for layer in model.layers
        if isinstance(layer, EqualizedConv2D | EqualizedDense | BatchNorm)
    }
    for layer in model.layers:
        if isinstance(layer, WeightedSum) and layer.alpha is not None:
            _fold_fade(weights, layer.alpha)
        elif isinstance(layer, ChannelBias):
            # Pixels of a feature map share one bias, and its 16 units lie together.
            bias = keras.ops.convert_to_numpy(layer.bias)
            weights["4x4_dense"][1] = np.repeat(bias, 16)
    for name, values in weights.items():
        plain.get_layer(name).set_weights(values)
    return plain


def _plain_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """What takes a layer's place."""
    common = {"name": layer.name, "dtype": "float32"}
    if isinstance(layer, EqualizedDense):
        return keras.layers.Dense(layer.units, **common)
    if isinstance(layer, ChannelBias):
        return keras.layers.Identity(**common)  # the bias is the dense layer's now
    if isinstance(layer, BatchNorm):
        return keras.layers.BatchNormalization(
            momentum=layer.momentum, epsilon=layer.epsilon, **common
        )
    if isinstance(layer, PixelNorm):
        return _rms_normalization(layer.name, layer.epsilon)
    if isinstance(layer, UpScale2D):
        return keras.layers.UpSampling2D(2, interpolation="nearest", **common)
    if isinstance(layer, WeightedSum):
        return keras.layers.Add(**common)
    if isinstance(layer, EqualizedConv2D):
        if layer.resample == "upscale":
            return keras.layers.Conv2DTranspose(layer.filters, 4, 2, padding="same", **common)
        return keras.layers.Conv2D(layer.filters, layer.kernel_size, padding="same", **common)
    if isinstance(layer, LeakyReLU | keras.layers.LeakyReLU):
        return keras.layers.LeakyReLU(layer.negative_slope, **common)
    config = layer.get_config()
    if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
        config.update(common)
    return type(layer).from_config(config)


def _rms_normalization(name: str, epsilon: float) -> keras.layers.Layer:
    """Pixel norm as Keras has it: with a scale for each channel, which stays 1."""
    return keras.layers.RMSNormalization(
        epsilon=epsilon, trainable=False, name=name, dtype="float32"
    )


class _RepeatedNorms:
    """Calls layers, each normalization a new one: its scale has a fixed number of channels."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}

    def __call__(self, layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.layers.RMSNormalization):
            use = self._uses.setdefault(layer.name, 0)
            self._uses[layer.name] += 1
            if use:
                layer = _rms_normalization(f"{layer.name}_{use}", layer.epsilon)
        return layer(*args, **kwargs)


def _plain_weights(layer: EqualizedConv2D | EqualizedDense | BatchNorm) -> list[np.ndarray]:
    if isinstance(layer, BatchNorm):
        return layer.get_weights()
    kernel = layer.scaled_kernel
    if isinstance(layer, EqualizedConv2D) and layer.resample == "upscale":
        kernel = transposed_kernel(kernel)
    # Where a layer of its own adds the bias, none is added here.
    size = layer.filters if isinstance(layer, EqualizedConv2D) else layer.units
    bias = keras.ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(size, np.float32)
    return [np.asarray(kernel), bias]


def _fold_fade(weights: dict[str, list[np.ndarray]], alpha: float) -> None:
    """Moves the weights of a fade's two images into the layers that make them."""
    names = [name for name in weights if name.startswith("to_rgb_")]
    lower, new = sorted(names, key=lambda name: int(name.rsplit("x", 1)[1]))
    weights[lower] = [value * (1.0 - alpha) for value in weights[lower]]
    weights[new] = [value * alpha for value in weights[new]]
