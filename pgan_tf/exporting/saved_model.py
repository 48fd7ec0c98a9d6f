"""TensorFlow SavedModels, for TensorFlow Serving and for Python without this project.

The functions that they serve are those of ONNX and TFLite files too.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.exporting.export_format import (
    DirectoryContent,
    ExportedGenerator,
    ExportFormat,
    ExportOptions,
)
from pgan_tf.generating.truncation import with_truncation
from pgan_tf.runs.grids import Generate, quantize
from pgan_tf.runs.saved_generator import DESCRIPTION_NAME

# Entries of a SavedModel's directory, beside the folders of weights and of further files.
_FILES = ("saved_model.pb", "fingerprint.pb", DESCRIPTION_NAME)
_WEIGHTS = re.compile(r"variables\.(index|data-\d{5}-of-\d{5})")


def input_specs(model: keras.Model) -> list[tf.TensorSpec]:
    """Return the inputs of a model as tensor specifications: float32, of any batch size."""
    return [tf.TensorSpec([None, *i.shape[1:]], tf.float32, name=i.name) for i in model.inputs]


def image_function(model: keras.Model, output_type: str) -> Callable[..., dict[str, tf.Tensor]]:
    """Return a function of a generator's inputs that returns `{"images": [b h w c]}`.

    Args:
      model: a generator.
      output_type: "float32", nominally in [-1, 1], or "uint8", rounded and clipped.
    """

    def generate(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        return {"images": quantize(images) if output_type == "uint8" else images}

    return generate


def write_saved_model(
    model: keras.Model, path: Path, description: Mapping[str, Any], output_type: str
) -> None:
    """Write a SavedModel with two signatures, both of any batch size.

    `serving_default` takes `latents` and, if the generator is conditional, `labels`; `truncated`
    also takes `truncation`, a scalar. Both return `images`.

    Args:
      model: a generator.
      path: of the directory.
      description: JSON values, kept in it as `pgan_tf.json`.
      output_type: see `image_function`.
    """
    specs = input_specs(model)
    serve = tf.function(image_function(model, output_type), input_signature=specs)
    generate_truncated = image_function(with_truncation(model), output_type)

    def serve_truncated(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.shape(inputs[0])[0]
        return generate_truncated(*inputs[:-1], tf.fill([batch, 1], inputs[-1]))

    truncation = tf.TensorSpec([], tf.float32, name="truncation")
    module = tf.Module()
    # Plain variables: with the layers themselves, loading would need their classes.
    module.weights = [variable.value for variable in model.variables]
    signatures = {
        "serving_default": serve,
        "truncated": tf.function(serve_truncated, input_signature=[*specs, truncation]),
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    (path / DESCRIPTION_NAME).write_text(json.dumps(dict(description), indent=2) + "\n")


def belongs_to_saved_model(path: Path) -> bool:
    """Return whether an entry of a directory is one that `write_saved_model` writes."""
    if path.name == "variables":
        return path.is_dir() and all(_WEIGHTS.fullmatch(file.name) for file in path.iterdir())
    if path.name == "assets":  # a generator has none
        return path.is_dir() and not any(path.iterdir())
    return path.is_file() and path.name in _FILES


def read_saved_model(path: Path) -> Generate:
    """Return the default signature of a SavedModel as a function of arrays."""
    # A signature does not keep its SavedModel alive, so the function must.
    loaded = tf.saved_model.load(str(path))

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"latents": tf.constant(latents)}
        if labels is not None:
            inputs["labels"] = tf.constant(labels)
        return loaded.signatures["serving_default"](**inputs)["images"].numpy()

    return generate


def read_truncated(path: Path, truncation: float) -> Generate:
    """Return the signature `truncated` of a SavedModel, at one truncation, as a function."""
    loaded = tf.saved_model.load(str(path))

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"latents": tf.constant(latents), "truncation": tf.constant(truncation)}
        if labels is not None:
            inputs["labels"] = tf.constant(labels)
        return loaded.signatures["truncated"](**inputs)["images"].numpy()

    return generate


def _write(generator: ExportedGenerator, path: Path, options: ExportOptions) -> None:
    write_saved_model(generator.model, path, generator.description, options.output_type)


FORMAT = ExportFormat(
    write=_write,
    read=read_saved_model,
    directory=DirectoryContent("a SavedModel", belongs_to_saved_model),
    options=("output_type",),
    read_truncated=read_truncated,
)
