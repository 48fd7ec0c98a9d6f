"""Export of a generator in another format, checked against Keras."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.distribution.devices import full_float32
from pgan_tf.exporting.onnx_file import read_onnx, write_onnx
from pgan_tf.exporting.plain_keras import as_plain_keras
from pgan_tf.exporting.saved_model import (
    belongs_to_saved_model,
    read_saved_model,
    read_truncated,
    write_saved_model,
)
from pgan_tf.exporting.tflite_file import read_tflite, write_tflite
from pgan_tf.generating.truncation import truncated_function
from pgan_tf.runs.grids import Generate, draw_latents
from pgan_tf.runs.saved_generator import (
    GeneratorDescription,
    as_function,
    describe_generator,
    find_generator,
    load_generator,
    save_generator,
)
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import check_output, staged_directory, user_path, whole_output_file

# File name in a directory, by format; "" if the directory itself is the export.
FORMATS = {
    "keras": "generator.keras",
    "saved_model": "",
    "onnx": "generator.onnx",
    "tflite": "generator.tflite",
}
OUTPUT_TYPES = ("float32", "uint8")
TFLITE_PRECISIONS = ("float32", "float16")

# Largest differences from Keras, of images in [-1, 1]. Half precision keeps 11 bits of each weight,
# and a deep network amplifies the error: 0.05 is 6 of 255 levels.
_TOLERANCE = 1e-4
_FLOAT16_TOLERANCE = 0.05
# Batches of two sizes, because a graph may work for one size only.
_BATCH_SIZES = (2, 1)
# Truncations at which the signature `truncated` is compared.
_TRUNCATIONS = (1.0, 0.5)
_HALF_A_LEVEL = 0.5 / 127.5


@dataclasses.dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
      path: the file or directory.
      bytes: its size.
      difference: the largest difference from Keras that was found, of images in [-1, 1].
    """

    path: Path
    bytes: int
    difference: float


def export_generator(
    network: str | os.PathLike,
    output: str | os.PathLike,
    *,
    file_format: str,
    output_type: str = "float32",
    tflite_precision: str = "float32",
    overwrite: bool = False,
    ema_length: float | None = None,
) -> Export:
    """Write a generator in another format, and check that it generates the same images.

    Args:
      network: a run directory or a `.keras` file.
      output: a directory for `saved_model`; otherwise a file, or a directory for it (see
        `output_file`).
      file_format: one of `FORMATS`.
      output_type: "float32" in [-1, 1], or "uint8"; a Keras file has floats.
      tflite_precision: "float32" or "float16", of the weights.
      overwrite: whether an export that exists may be replaced.
      ema_length: of the moving average; see `load_generator`.

    Raises:
      UserError: there is no such network or average, the output exists, an option is of another
        format, the extra is not installed, or the export's images differ from those of Keras.
    """
    _check_options(file_format, output_type, tflite_precision)
    output = user_path(output)
    _check_suffix(output, file_format)
    path = output_file(output, file_format)
    _check_output(path, file_format, overwrite)
    file = find_generator(network)
    description = describe_generator(file)
    if ema_length is not None:
        description["ema_length"] = ema_length
    model = load_generator(file, dtype="float32", ema_length=ema_length)
    is_directory = not FORMATS[file_format]
    check = functools.partial(_check_output, path, file_format, overwrite)
    whole = (
        staged_directory(path.absolute(), check=check)
        if is_directory
        else whole_output_file(path, replace=overwrite)
    )
    # Other programs compute on the CPU, or without TF32.
    with full_float32(), whole as partial:
        _write(model, partial, description, file_format, output_type, tflite_precision)
        difference = _largest_difference(model, READERS[file_format](partial))
        if file_format == "saved_model":
            for truncation in _TRUNCATIONS:
                truncated = read_truncated(partial, truncation)
                found = _largest_difference(model, truncated, truncation)
                difference = float(np.maximum(difference, found))  # which keeps NaN
        half = file_format == "tflite" and tflite_precision == "float16"
        allowed = _FLOAT16_TOLERANCE if half else _TOLERANCE
        allowed += _HALF_A_LEVEL if output_type == "uint8" else 0.0
        if not difference <= allowed:
            raise UserError(
                f"{path}: the {file_format} export differs from Keras by {difference:.2g}, of "
                f"images in [-1, 1], where at most {allowed:.2g} is allowed; it was not kept"
            )
        size = _size(partial)
    return Export(path, size, difference)


def output_file(output: Path, file_format: str) -> Path:
    """Return the path of an export: `output` if it has the format's suffix, else a file in it."""
    name = FORMATS[file_format]
    return output if not name or output.suffix == Path(name).suffix else output / name


def _check_options(file_format: str, output_type: str, tflite_precision: str) -> None:
    for name, value, choices in (
        ("format", file_format, FORMATS),
        ("output_type", output_type, OUTPUT_TYPES),
        ("tflite_precision", tflite_precision, TFLITE_PRECISIONS),
    ):
        if value not in choices:
            raise UserError(f"--{name} must be one of {', '.join(choices)}. Received: {value}")
    if file_format == "keras" and output_type != "float32":
        raise UserError(
            f"--output_type must be float32 with --format=keras. Received: {output_type}"
        )
    if file_format != "tflite" and tflite_precision != "float32":
        raise UserError(
            f"--tflite_precision is for --format=tflite. Received: --format={file_format}"
        )


def _check_suffix(output: Path, file_format: str) -> None:
    """Check that a new output does not have the suffix of another format."""
    own = Path(FORMATS[file_format]).suffix
    others = {Path(name).suffix: other for other, name in FORMATS.items() if name}
    if output.suffix != own and output.suffix in others and not output.is_dir():
        raise UserError(
            f"--output={output}: ends as {others[output.suffix]} files do. "
            f"Received: --format={file_format}"
        )


def _check_output(path: Path, file_format: str, overwrite: bool) -> None:
    if not FORMATS[file_format]:
        check_output(
            path.absolute(), overwrite, belongs=belongs_to_saved_model, content="a SavedModel"
        )
        return
    for parent in path.parents:
        if parent.exists() and not parent.is_dir():
            raise UserError(f"--output={path}: can't be written: {parent} is a file")
    if not os.path.lexists(path):
        return
    if path.is_dir():
        raise UserError(f"--output={path}: a directory of that name exists")
    if not overwrite:
        raise UserError(f"--output={path}: exists already; --overwrite replaces it")


def _write(
    model: keras.Model,
    path: Path,
    description: Mapping[str, Any],
    file_format: str,
    output_type: str,
    tflite_precision: str,
) -> None:
    if file_format == "keras":
        save_generator(path, as_plain_keras(model), GeneratorDescription.from_json(description))
    elif file_format == "saved_model":
        write_saved_model(model, path, description, output_type)
    elif file_format == "onnx":
        write_onnx(model, path, description, output_type)
    else:
        write_tflite(model, path, output_type, tflite_precision)


def _read_keras(path: Path) -> Generate:
    return as_function(load_generator(path))


# By format, a reader that returns an export as a function of arrays.
READERS: dict[str, Callable[[Path], Generate]] = {
    "keras": _read_keras,
    "saved_model": read_saved_model,
    "onnx": read_onnx,
    "tflite": read_tflite,
}


def _largest_difference(model: keras.Model, exported: Generate, truncation: float = 1.0) -> float:
    """Return the largest difference between images of Keras and of an export."""
    drawn = truncated_function(model, truncation)
    latent_size, *label_size = [int(i.shape[-1]) for i in model.inputs]
    differences = []
    for seed, batch in enumerate(_BATCH_SIZES):
        latents = draw_latents(batch, latent_size, seed=seed)
        labels = None
        if label_size:
            labels = np.eye(label_size[0], dtype=np.float32)[np.arange(batch) % label_size[0]]
        expected = drawn(latents, labels)
        images = exported(latents, labels)
        if images.dtype == np.uint8:
            expected, images = np.clip(expected, -1.0, 1.0), images / np.float32(127.5) - 1.0
        if images.shape != expected.shape:
            return math.inf
        differences.append(np.abs(images - expected).max())
    return float(np.max(differences))  # unlike Python's max, it keeps NaN


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
