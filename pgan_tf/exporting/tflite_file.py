"""TFLite files, for phones and small devices."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.exporting.export_format import ExportedGenerator, ExportFormat, ExportOptions
from pgan_tf.exporting.saved_model import write_saved_model
from pgan_tf.runs.grids import Generate

# Half precision keeps 11 bits of each weight, and a deep network amplifies the error: 0.05 is 6 of
# 255 levels.
_TOLERANCES = {"float32": 1e-4, "float16": 0.05}


def write_tflite(model: keras.Model, path: Path, output_type: str, precision: str) -> None:
    """Write a TFLite file with the signature `serving_default`, of any batch size.

    Args:
      model: a generator.
      path: of the file.
      output_type: see `image_function`.
      precision: "float32", or "float16" for weights of half the size. In both, inputs and the
        arithmetic on a CPU are float32.
    """
    with tempfile.TemporaryDirectory() as directory, _quiet():
        write_saved_model(model, Path(directory), {}, output_type)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            directory, signature_keys=["serving_default"]
        )
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())


def read_tflite(path: Path) -> Generate:
    """Return the default signature of a TFLite file as a function of arrays."""
    with warnings.catch_warnings():
        # The interpreter will move to a package of its own, which TensorFlow doesn't include.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner("serving_default")

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"latents": latents} if labels is None else {"latents": latents, "labels": labels}
        return runner(**inputs)["images"]

    return generate


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the progress that the converter prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _write(generator: ExportedGenerator, path: Path, options: ExportOptions) -> None:
    write_tflite(generator.model, path, options.output_type, options.tflite_precision)


FORMAT = ExportFormat(
    write=_write,
    read=read_tflite,
    file_name="generator.tflite",
    options=("output_type", "tflite_precision"),
    tolerance=lambda options: _TOLERANCES[options.tflite_precision],
)
