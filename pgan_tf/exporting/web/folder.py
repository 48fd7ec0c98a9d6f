"""The folder of a web page that generates."""

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.exporting.export_format import (
    DirectoryContent,
    ExportedGenerator,
    ExportFormat,
    ExportOptions,
)
from pgan_tf.exporting.onnx_file import check_size, open_onnx, write_onnx
from pgan_tf.exporting.web.memory import check_memory
from pgan_tf.exporting.web.runtime import (
    DIRECTORY_NAME,
    belongs_to_runtime,
    check_runtime,
    copy_runtime,
    runtime_modules,
)
from pgan_tf.generating.directions import find_directions
from pgan_tf.generating.sampler import class_names
from pgan_tf.generating.truncation import with_truncation
from pgan_tf.runs.grids import Generate
from pgan_tf.runs.run_directory import NETWORKS_NAME
from pgan_tf.runs.saved_generator import GeneratorDescription

_PAGE = Path(__file__).with_name("page")
_NETWORK_NAME = "generator.onnx"
_VALUES_NAME = "generator.json"
_FORMAT_VERSION = 1
# Directions with a slider each, and labels of real images to choose from.
_MAX_DIRECTIONS = 10
_MAX_LABEL_ROWS = 100


def _check(generator: ExportedGenerator, options: ExportOptions) -> None:
    if options.runtime:
        check_runtime(options.runtime)
    check_size(generator.model)
    check_memory(generator.model)


def _write(generator: ExportedGenerator, path: Path, options: ExportOptions) -> None:
    for file in _PAGE.iterdir():
        shutil.copyfile(file, path / file.name)
    truncated = with_truncation(generator.model)
    write_onnx(truncated, path / _NETWORK_NAME, generator.description, "float32")
    values = page_values(generator, truncated, copied_runtime=bool(options.runtime))
    (path / _VALUES_NAME).write_text(json.dumps(values, indent=1) + "\n")
    if options.runtime:
        copy_runtime(check_runtime(options.runtime), path)


def page_values(
    generator: ExportedGenerator, truncated: keras.Model, *, copied_runtime: bool
) -> dict[str, Any]:
    """Return the contents of generator.json, which the page reads.

    Args:
      generator: the generator.
      truncated: the same with an input for truncation.
      copied_runtime: whether ONNX Runtime Web is in the folder, or else on a CDN.
    """
    description = GeneratorDescription.from_json(generator.description)
    height, width, channels = map(int, truncated.outputs[0].shape[1:])
    sizes = {i.name: int(i.shape[-1]) for i in truncated.inputs}
    label_size = sizes.get("labels", 0)
    rows = _label_rows(description, label_size)
    classes = (
        [f"label {row}" for row in range(len(rows))]
        if rows
        else list(class_names(label_size, description.label_names or ()))
    )
    count = min(_MAX_DIRECTIONS, sizes["latents"])
    directions = np.round(find_directions(generator.model, count).astype(np.float64), 7)
    return {
        "format": _FORMAT_VERSION,
        "title": _title(generator.file),
        "about": _about(description, height, width, len(classes)),
        "width": width,
        "height": height,
        "channels": channels,
        "bits": 16 if description.bits == 16 and channels == 1 else 8,
        "latent_size": sizes["latents"],
        "label_size": label_size,
        "sizes": sizes,
        "classes": classes,
        "labels": rows or None,
        "directions": directions.tolist(),
        "runtime": runtime_modules(copied=copied_runtime),
    }


def _label_rows(description: GeneratorDescription, label_size: int) -> list[list[float]]:
    """Return labels of real images, if labels are not classes and these have the right size."""
    rows = list(description.label_rows or ())[:_MAX_LABEL_ROWS]
    if not label_size or any(len(row) != label_size for row in rows):
        return []
    return [[float(value) for value in row] for row in rows]


def _title(file: Path) -> str:
    """Return the name of the run that a generator is of, or of its file."""
    directory = file.absolute().parent
    return directory.parent.name if directory.name == NETWORKS_NAME else file.stem


def _about(description: GeneratorDescription, height: int, width: int, classes: int) -> str:
    facts = [f"{width}x{height} pixels"]
    if classes:
        facts.append(f"{classes} classes" if not description.label_rows else f"{classes} labels")
    if description.images_seen is not None:
        facts.append(f"trained on {description.images_seen:,} images")
    return ", ".join(facts)


def read_web(path: Path, truncation: float = 1.0) -> Generate:
    """Return the network of a page as a function of arrays, computed by onnxruntime on the CPU."""
    session = open_onnx(path / _NETWORK_NAME)

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs: Mapping[str, np.ndarray] = {
            "latents": latents,
            "truncation": np.full([len(latents), 1], truncation, np.float32),
        }
        if labels is not None:
            inputs = {**inputs, "labels": labels}
        return session.run(["images"], inputs)[0]

    return generate


def belongs_to_page(path: Path) -> bool:
    """Return whether an entry of a directory is one that this format writes."""
    if path.name == DIRECTORY_NAME:
        return belongs_to_runtime(path)
    names = {_NETWORK_NAME, _VALUES_NAME, *(file.name for file in _PAGE.iterdir())}
    return path.is_file() and path.name in names


def _advise(path: Path) -> list[str]:
    serve = f"python3 -m http.server 8000 --directory {shlex.quote(str(path))}"
    return [f"to see it: {serve}, then open http://localhost:8000/"]


FORMAT = ExportFormat(
    write=_write,
    read=read_web,
    directory=DirectoryContent("a web page", belongs_to_page),
    options=("runtime",),
    check=_check,
    read_truncated=read_web,
    advise=_advise,
)
