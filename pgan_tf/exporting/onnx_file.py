"""ONNX files, for onnxruntime and other runtimes."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.exporting.export_format import ExportedGenerator, ExportFormat, ExportOptions
from pgan_tf.exporting.saved_model import image_function, input_specs
from pgan_tf.runs.grids import Generate
from tfrecords_tools.extras import require

# Of December 2021: new enough for every operation of the network, old enough for most runtimes.
OPSET = 17


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


FORMAT = ExportFormat(
    write=_write, read=read_onnx, file_name="generator.onnx", options=("output_type",)
)
