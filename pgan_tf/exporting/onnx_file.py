"""ONNX files, for onnxruntime and other runtimes."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.exporting.export_format import ExportedGenerator, ExportFormat, ExportOptions
from pgan_tf.exporting.saved_model import image_function, input_specs
from pgan_tf.layers import EqualizedConv2D
from pgan_tf.layers.kernels.resampling import fastest_method
from pgan_tf.runs.grids import Generate
from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require

# Of December 2021: new enough for every operation of the network, old enough for most runtimes.
OPSET = 17
# Of protocol buffers.
_MAX_BYTES = 2**31 - 1


def check_size(model: keras.Model) -> None:
    """Refuse a generator whose ONNX file would be too large.

    Raises:
      UserError: its weights take 2 GiB or more.
    """
    size = weight_bytes(model)
    if size > _MAX_BYTES:
        raise UserError(
            f"an ONNX file holds at most 2 GiB. Received: a generator of {size / 2**30:.1f} GiB; "
            "--format=saved_model has no such limit"
        )


def weight_bytes(model: keras.Model) -> int:
    """Return the bytes of a generator's weights in an ONNX file: float32, as they are computed."""
    total = 0
    for layer in model.layers:
        numbers = sum(math.prod(weight.shape) for weight in layer.weights)
        if isinstance(layer, EqualizedConv2D):
            numbers = numbers * max(9, upscaling_taps(layer)) // 9
        total += 4 * numbers
    return total


def upscaling_taps(layer: keras.layers.Layer) -> int:
    """Return the weights of each transposed convolution's kernel: 9 or 16; 0 for other layers."""
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return math.prod(layer.kernel_size)
    if getattr(layer, "resample", None) != "upscale":
        return 0
    return 16 if fastest_method() == "kernel_4x4" else 9


def write_onnx(
    model: keras.Model, path: Path, description: Mapping[str, Any], output_type: str
) -> None:
    """Write an ONNX file with the generator's inputs, `latents` and `labels`, and output `images`.

    Args:
      model: a generator.
      path: of the file.
      description: JSON values, kept in the file's metadata under `pgan_tf`.
      output_type: see `image_function`.

    Raises:
      UserError: the extra `onnx` is not installed.
    """
    tf2onnx = require("tf2onnx", "onnx")
    onnx = require("onnx", "onnx")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    specs = input_specs(model)
    function = tf.function(image_function(model, output_type), input_signature=specs)
    graph, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(graph, {"pgan_tf": json.dumps(dict(description))})
    graph.producer_name = "pgan_tf"
    onnx.checker.check_model(graph)
    onnx.save_model(graph, str(path))


def open_onnx(path: Path) -> Any:
    """Return a session of onnxruntime that computes an ONNX file on the CPU."""
    onnxruntime = require("onnxruntime", "onnx")
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def read_onnx(path: Path) -> Generate:
    """Return an ONNX file as a function of arrays, computed by onnxruntime on the CPU."""
    session = open_onnx(path)

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"latents": latents} if labels is None else {"latents": latents, "labels": labels}
        return session.run(["images"], inputs)[0]

    return generate


def _write(generator: ExportedGenerator, path: Path, options: ExportOptions) -> None:
    write_onnx(generator.model, path, generator.description, options.output_type)


def _check(generator: ExportedGenerator, options: ExportOptions) -> None:
    check_size(generator.model)


FORMAT = ExportFormat(
    write=_write,
    read=read_onnx,
    file_name="generator.onnx",
    options=("output_type",),
    check=_check,
)
