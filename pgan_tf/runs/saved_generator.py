"""Generators on disk: a functional Keras model in one `.keras` file, with a description inside."""

import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.networks import LATENT_NORM, Generator
from pgan_tf.runs.grids import Generate
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file

# A member of the .keras archive, which Keras itself leaves alone.
DESCRIPTION = "pgan_tf.json"
_NAME = re.compile(r"generator-(?P<kimg>\d+(\.\d+)?)\.keras")


def as_keras_model(generator: Generator, *, resolution: int, alpha: float | None) -> keras.Model:
    """A functional model of a generator at one stage, sharing its weights.

    Args:
      generator: usually the EMA generator.
      resolution: the stage's.
      alpha: the fade it is fixed at, or None where the stage does not fade.

    Returns:
      Inputs `latents [b latent_size]`, and `labels [b n]` where it is conditional; output
      `[b resolution resolution channels]` float32 in [-1, 1].
    """
    config = generator.config
    latents = keras.Input([config.resolved_latent_size], name="latents", dtype="float32")
    labels = None
    if config.label_size:
        labels = keras.Input([config.label_size], name="labels", dtype="float32")
    images = generator(latents, labels, resolution=resolution, alpha=alpha)
    # A lone input is not put into a list, because Keras then warns when it is called without one.
    inputs = latents if labels is None else [latents, labels]
    return keras.Model(inputs, images, name="generator")


def save_generator(path: Path, model: keras.Model, description: Mapping[str, Any]) -> None:
    """Writes a model and what there is to say of it, whole or not at all.

    Args:
      path: ends in `.keras`.
      model: of `as_keras_model`.
      description: JSON values, such as `kimg`, `resolution`, `label_names`.
    """
    with whole_file(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(DESCRIPTION, json.dumps(dict(description), indent=2))


def load_generator(path: str | os.PathLike, *, dtype: str | None = None) -> keras.Model:
    """Loads a generator.

    Args:
      path: a `.keras` file, or a run directory, whose newest EMA generator is taken.
      dtype: Keras dtype policy to compute in, such as "float32" or "mixed_bfloat16"; None for the
        one it was trained in. Weights and images are float32 in any case.

    Returns:
      A functional model: inputs `latents [b latent_size]`, and `labels [b n]` where it is
      conditional; output `[b h w c]` float32 in [-1, 1].

    Raises:
      UserError: there is no generator at `path`.
    """
    file = find_generator(path)
    try:
        model = keras.saving.load_model(file, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: not a generator that can be loaded: {error}") from error
    _check_generator(model, file)
    return model if dtype is None else _with_dtype(model, dtype)


def _check_generator(model: Any, file: Path) -> None:
    """That a loaded Keras object is a generator of this project.

    Raises:
      UserError: it is not.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise UserError(
            f"{file}: not a generator: expected a functional Keras model. "
            f"Received: {type(model).__name__}, without inputs"
        )
    inputs = [f"{entry.name} {list(entry.shape)}" for entry in model.inputs]
    outputs = [list(entry.shape) for entry in model.outputs]
    names = [entry.name for entry in model.inputs]
    flat = all(len(entry.shape) == 2 and entry.shape[1] for entry in model.inputs)
    pictures = len(outputs) == 1 and len(outputs[0]) == 4 and all(outputs[0][1:])
    if names not in (["latents"], ["latents", "labels"]) or not flat or not pictures:
        raise UserError(
            f"{file}: not a generator: expected the inputs latents, or latents and labels, and "
            f"images [b h w c] as output. Received: {', '.join(inputs)} and {str(outputs)[1:-1]}"
        )
    if not any(layer.name == LATENT_NORM for layer in model.layers):
        raise UserError(
            f"{file}: not a generator of pgan_tf: it has no layer {LATENT_NORM}. "
            f"Received: a model named {model.name}"
        )


def _with_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """The same network, computed in another dtype policy."""

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        # What is no layer (a reshape, a cast) has no policy; inputs stay float32.
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = dtype
        return type(layer).from_config(config)

    converted = keras.models.clone_model(model, clone_function=convert)
    converted.set_weights(model.get_weights())
    return converted


def describe_generator(path: str | os.PathLike) -> dict[str, Any]:
    """What was said of a generator when it was saved; empty where nothing was.

    Raises:
      UserError: there is no `.keras` file at `path`, or its description is damaged.
    """
    file = find_generator(path)
    try:
        with zipfile.ZipFile(file) as archive:
            if DESCRIPTION not in archive.namelist():
                return {}
            description = json.loads(archive.read(DESCRIPTION))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{file}: not a .keras file: {error}") from error
    if not isinstance(description, dict):
        raise UserError(
            f"{file}: {DESCRIPTION} in it must be a JSON object. "
            f"Received: {type(description).__name__}"
        )
    return description


def find_generator(path: str | os.PathLike) -> Path:
    """The `.keras` file that `path` means: itself, or the newest one of a run directory.

    Raises:
      UserError: there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path}: no such run directory or .keras file")
    saved = find_snapshots(path)
    if saved:
        return saved[-1]
    imported = path / "generator.keras"
    if imported.is_file():
        return imported
    raise UserError(f"{path}: no generator in it; expected networks/generator-NNNNNN.keras")


def find_snapshots(run: Path) -> list[Path]:
    """Every generator that a run directory has saved as it went on, oldest first."""
    files = (run / "networks").glob("*.keras")
    return sorted(
        (file for file in files if _NAME.fullmatch(file.name)),
        key=lambda file: images_seen_of(file) or 0,
    )


def images_seen_of(file: Path) -> int | None:
    """When a generator was saved: by its description, or else by its name, which may be rounded.

    None where neither says so.
    """
    match = _NAME.fullmatch(file.name)
    by_name = round(float(match["kimg"]) * 1000) if match else None
    try:
        described = describe_generator(file).get("images_seen")
        return by_name if described is None else int(described)
    except (UserError, TypeError, ValueError):
        return by_name


def as_function(model: keras.Model) -> Generate:
    """A generator model as `sampling.Generate`: NumPy arrays in, NumPy array out."""

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = latents if labels is None else [latents, labels]
        return keras.ops.convert_to_numpy(model(inputs, training=False))

    return generate
