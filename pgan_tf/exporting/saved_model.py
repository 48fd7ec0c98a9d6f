"""TensorFlow SavedModels, for TensorFlow Serving and for Python without this project."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.exporting.signature import image_function, input_specs
from pgan_tf.generating.truncation import with_truncation
from pgan_tf.runs.grids import Generate
from pgan_tf.runs.saved_generator import DESCRIPTION_NAME

MARK = "saved_model.pb"


def write_saved_model(
    model: keras.Model, path: Path, description: Mapping[str, Any], output_type: str
) -> None:
    """Writes a SavedModel with two signatures.

    `serving_default` takes `latents` and, where the generator is conditional, `labels`. `truncated`
    also takes `truncation`, a scalar. Both give `images`, and take any batch size.

    Args:
      model: a generator.
      path: of the directory.
      description: kept in it as `pgan_tf.json`.
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
    # Plain variables: with the layers themselves, loading would look for their classes.
    module.weights = [variable.value for variable in model.variables]
    signatures = {
        "serving_default": serve,
        "truncated": tf.function(serve_truncated, input_signature=[*specs, truncation]),
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    (path / DESCRIPTION_NAME).write_text(json.dumps(dict(description), indent=2) + "\n")


def read_saved_model(path: Path) -> Generate:
    """The default signature of a SavedModel as a function of arrays."""
    # The signature does not keep alive what it was loaded with, so the function must.
    loaded = tf.saved_model.load(str(path))

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"latents": tf.constant(latents)}
        if labels is not None:
            inputs["labels"] = tf.constant(labels)
        return loaded.signatures["serving_default"](**inputs)["images"].numpy()

    return generate


def read_truncated(path: Path, truncation: float) -> Generate:
    """The signature `truncated` of a SavedModel at one truncation, as a function of arrays."""
    loaded = tf.saved_model.load(str(path))

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"latents": tf.constant(latents), "truncation": tf.constant(truncation)}
        if labels is not None:
            inputs["labels"] = tf.constant(labels)
        return loaded.signatures["truncated"](**inputs)["images"].numpy()

    return generate
