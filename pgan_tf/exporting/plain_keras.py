"""Models of Keras's own layers alone, which load without this project."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.exporting.export_format import ExportedGenerator, ExportFormat, ExportOptions
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
from pgan_tf.runs.grids import Generate
from pgan_tf.runs.saved_generator import (
    GeneratorDescription,
    as_function,
    load_generator,
    save_generator,
)


def as_plain_keras(model: keras.Model) -> keras.Model:
    """Return a model that computes the same with Keras's own layers, in float32.

    The scales of equalized layers are multiplied into their kernels, so the model is for generating
    images: training it further would have other learning rates. Layer names stay as they are.

    Args:
      model: a generator.

    Returns:
      A model of the same inputs and output; `model` itself if it has only Keras's layers.
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
            # The pixels of a feature map share one bias, and are consecutive units: 16 of 4x4.
            bias = keras.ops.convert_to_numpy(layer.bias)
            units = len(weights["4x4_dense"][1])
            weights["4x4_dense"][1] = np.repeat(bias, units // len(bias))
    for name, values in weights.items():
        plain.get_layer(name).set_weights(values)
    return plain


def _plain_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return the Keras layer that replaces a layer."""
    common = {"name": layer.name, "dtype": "float32"}
    if isinstance(layer, EqualizedDense):
        return keras.layers.Dense(layer.units, **common)
    if isinstance(layer, ChannelBias):
        return keras.layers.Identity(**common)  # the dense layer has the bias now
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
    """Return pixel norm as a Keras layer, with a scale of 1 for each channel."""
    return keras.layers.RMSNormalization(
        epsilon=epsilon, trainable=False, name=name, dtype="float32"
    )


class _RepeatedNorms:
    """Calls layers, making a new normalization for each use: its scale has as many channels."""

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
    # If another layer adds the bias, it is zero here.
    size = layer.filters if isinstance(layer, EqualizedConv2D) else layer.units
    bias = keras.ops.convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(size, np.float32)
    return [np.asarray(kernel), bias]


def _fold_fade(weights: dict[str, list[np.ndarray]], alpha: float) -> None:
    """Multiply the weights of a fade, 1 - alpha and alpha, into the layers that make its images."""
    names = [name for name in weights if name.startswith("to_rgb_")]
    lower, new = sorted(names, key=lambda name: int(name.rsplit("x", 1)[1]))
    weights[lower] = [value * (1.0 - alpha) for value in weights[lower]]
    weights[new] = [value * alpha for value in weights[new]]


def _write(generator: ExportedGenerator, path: Path, options: ExportOptions) -> None:
    description = GeneratorDescription.from_json(generator.description)
    save_generator(path, as_plain_keras(generator.model), description)


def _read(path: Path) -> Generate:
    return as_function(load_generator(path))


FORMAT = ExportFormat(write=_write, read=_read, file_name="generator.keras")
