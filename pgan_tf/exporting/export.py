"""Export of a generator in another format, checked against Keras."""

import dataclasses
import functools
import math
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.distribution.devices import full_float32
from pgan_tf.exporting import onnx_file, plain_keras, saved_model, tflite_file, web
from pgan_tf.exporting.export_format import ExportedGenerator, ExportFormat, ExportOptions
from pgan_tf.exporting.hub import folder
from pgan_tf.generating.truncation import truncated_function
from pgan_tf.runs.grids import Generate, draw_latents
from pgan_tf.runs.saved_generator import describe_generator, find_generator, load_generator
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import check_output, staged_directory, user_path, whole_output_file

FORMATS: dict[str, ExportFormat] = {
    "keras": plain_keras.FORMAT,
    "saved_model": saved_model.FORMAT,
    "onnx": onnx_file.FORMAT,
    "tflite": tflite_file.FORMAT,
    "web": web.FORMAT,
    "hub": folder.FORMAT,
}
OUTPUT_TYPES = ("float32", "uint8")
TFLITE_PRECISIONS = ("float32", "float16")

# Batches of two sizes, because a graph may work for one size only.
_BATCH_SIZES = (2, 1)
# Truncations at which formats that have an input for it are compared.
_TRUNCATIONS = (1.0, 0.5)
_HALF_A_LEVEL = 0.5 / 127.5


@dataclasses.dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
      path: the file or directory.
      bytes: its size.
      difference: the largest difference from Keras that was found, of images in [-1, 1].
      advice: lines for the user about it, such as what is left to do.
      url: to which it was uploaded; empty if it was not.
    """

    path: Path
    bytes: int
    difference: float
    advice: tuple[str, ...] = ()
    url: str = ""


def export_generator(
    network: str | os.PathLike,
    output: str | os.PathLike,
    *,
    file_format: str,
    overwrite: bool = False,
    ema_length: float | None = None,
    **options: Any,
) -> Export:
    """Write a generator in another format, and check that it generates the same images.

    Args:
      network: a run directory, a `.keras` file or `hf://user/name`.
      output: a directory for formats that are one; otherwise a file, or a directory for it (see
        `output_file`).
      file_format: one of `FORMATS`.
      overwrite: whether an export that exists may be replaced.
      ema_length: of the moving average; see `load_generator`.
      **options: those of the format; see `ExportOptions`.

    Raises:
      UserError: there is no such network or average, the output exists, an option is of another
        format, the extra is not installed, or the export's images differ from those of Keras.
    """
    chosen = ExportOptions(**options)
    _check_options(file_format, chosen)
    output = user_path(output)
    _check_suffix(output, file_format)
    path = output_file(output, file_format)
    _check_output(path, file_format, overwrite)
    file = find_generator(network)
    description = describe_generator(file)
    if ema_length is not None:
        description["ema_length"] = ema_length
    model = load_generator(file, dtype="float32", ema_length=ema_length)
    generator = ExportedGenerator(model, description, file)
    form = FORMATS[file_format]
    if form.check is not None:
        form.check(generator, chosen)
    check = functools.partial(_check_output, path, file_format, overwrite)
    whole = (
        staged_directory(path.absolute(), check=check)
        if form.directory
        else whole_output_file(path, replace=overwrite)
    )
    # Other programs compute on the CPU, or without TF32.
    with full_float32(), whole as partial:
        try:
            form.write(generator, partial, chosen)
        except OSError as error:
            if error.errno is None or error.filename:
                raise
            # Such as of a full disk.
            raise UserError(f"--output={path}: can't be written: {error.strerror}") from error
        difference = _difference(form, model, partial)
        allowed = form.tolerance(chosen)
        allowed += _HALF_A_LEVEL if chosen.output_type == "uint8" else 0.0
        if not difference <= allowed:
            raise UserError(
                f"{path}: the {file_format} export differs from Keras by {difference:.2g}, of "
                f"images in [-1, 1], where at most {allowed:.2g} is allowed; it was not kept"
            )
        size = _size(partial)
    # A failure leaves the export, which is whole, where it is.
    url = form.publish(path, chosen) if form.publish is not None and chosen.push_to else ""
    return Export(path, size, difference, tuple(form.advise(path)), url)


def output_file(output: Path, file_format: str) -> Path:
    """Return the path of an export: `output` if it has the format's suffix, else a file in it."""
    name = FORMATS[file_format].file_name
    return output if not name or output.suffix == Path(name).suffix else output / name


def _check_options(file_format: str, options: ExportOptions) -> None:
    for name, value, choices in (
        ("format", file_format, FORMATS),
        ("output_type", options.output_type, OUTPUT_TYPES),
        ("tflite_precision", options.tflite_precision, TFLITE_PRECISIONS),
    ):
        if value not in choices:
            raise UserError(f"--{name} must be one of {', '.join(choices)}. Received: {value}")
    for field in dataclasses.fields(options):
        given = getattr(options, field.name) != field.default
        if given and field.name not in FORMATS[file_format].options:
            formats = [name for name, form in FORMATS.items() if field.name in form.options]
            raise UserError(
                f"--{field.name} is for --format={'|'.join(formats)}. "
                f"Received: --format={file_format}"
            )


def _check_suffix(output: Path, file_format: str) -> None:
    """Check that a new output does not have the suffix of another format."""
    own = Path(FORMATS[file_format].file_name).suffix
    named = {name: form.file_name for name, form in FORMATS.items() if form.file_name}
    others = {Path(file).suffix: name for name, file in named.items()}
    if output.suffix != own and output.suffix in others and not output.is_dir():
        raise UserError(
            f"--output={output}: ends as {others[output.suffix]} files do. "
            f"Received: --format={file_format}"
        )


def _check_output(path: Path, file_format: str, overwrite: bool) -> None:
    content = FORMATS[file_format].directory
    if content is not None:
        check_output(path.absolute(), overwrite, belongs=content.belongs, content=content.name)
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


def _difference(form: ExportFormat, model: keras.Model, path: Path) -> float:
    """Return the largest difference between images of Keras and of an export, truncated too."""
    difference = _largest_difference(model, form.read(path))
    if form.read_truncated is not None:
        for truncation in _TRUNCATIONS:
            found = _largest_difference(model, form.read_truncated(path, truncation), truncation)
            difference = float(np.maximum(difference, found))  # which keeps NaN
    return difference


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
