"""Saved generators: a functional Keras model in one `.keras` file, with a description inside."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.distribution.devices import let_gpu_memory_grow
from pgan_tf.distribution.out_of_memory import is_out_of_memory
from pgan_tf.networks.generator import LATENT_NORM, Generator
from pgan_tf.runs.averages import PostHocAverage
from pgan_tf.runs.grids import Generate, quantize
from pgan_tf.runs.run_directory import GENERATOR_PATTERN, NETWORKS_NAME, require_network
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file
from tfrecords_tools.untrusted.json_file import parse_object
from tfrecords_tools.untrusted.keras_file import load_keras_file
from tfrecords_tools.untrusted.zip_archive import open_keras_archive

# The description's member of the .keras archive, which Keras itself ignores.
DESCRIPTION_NAME = "pgan_tf.json"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class GeneratorDescription:
    """The description inside a saved generator, a JSON object; None where the file has no value.

    Attributes:
      format: version of the description, 1 so far.
      images_seen: real images that it was trained on; the file has kimg beside it.
      resolution: of its stage; the side of squares in pixels.
      alpha: weight of its newest layers, from 0 to 1; below 1 if it was saved while fading.
      final_resolution: the resolution that its run grows to.
      channels: of its images.
      bits: of a value of the images that it was trained on, 8 (where it is not known) or 16.
      latent_size: components of a latent vector.
      label_size: components of a label, 0 without labels.
      label_names: names of the classes; empty without names.
      label_rows: labels of real images to generate with, if labels are not classes.
      best: the value by which it was kept as the best of its run, and what that value depends on.
      metrics: its metrics, if it was kept as the best of its run.
      imported_from: name of the original's file that it was imported from.
      original_name: its name in that file.
      original_version: the original's version, "TensorFlow" or "Theano".
      other: further values of a file, by key; kept as they are.
    """

    format: int | None = _FORMAT
    images_seen: int | None = None
    resolution: int | None = None
    alpha: float | None = None
    final_resolution: int | None = None
    channels: int | None = None
    bits: int | None = None
    latent_size: int | None = None
    label_size: int | None = None
    label_names: Sequence[str] | None = None
    label_rows: Sequence[Sequence[float]] | None = None
    best: Mapping[str, Any] | None = None
    metrics: Mapping[str, float] | None = None
    imported_from: str | None = None
    original_name: str | None = None
    original_version: str | None = None
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that a file holds: every value that is known."""
        known = {name: getattr(self, name) for name in _TYPES}
        values = {name: value for name, value in known.items() if value is not None}
        kimg = {} if self.images_seen is None else {"kimg": self.images_seen / 1000}
        return {**self.other, **values, **kimg}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "GeneratorDescription":
        """Return the description of a JSON object.

        Args:
          values: of any version; keys that are missing are None, and keys that are not known, or
            have a value of another type, go to `other`.
        """
        known = {
            name: values.get(name) if isinstance(values.get(name), kind) else None
            for name, kind in _TYPES.items()
        }
        if not all(isinstance(name, str) for name in known["label_names"] or ()):
            known["label_names"] = None
        if not _are_rows(known["label_rows"] or ()):
            known["label_rows"] = None
        other = {key: value for key, value in values.items() if known.get(key) is None}
        return cls(**known, other=other)


def _are_rows(rows: Sequence[Any]) -> bool:
    """Return whether these are rows of finite numbers, equally many in each."""
    try:
        return not len(rows) or bool(np.isfinite(np.array(rows, np.float32)).all())
    except (ValueError, TypeError, OverflowError):
        return False


# The JSON type of each attribute but `other`.
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "format": int,
    "images_seen": int,
    "resolution": int,
    "alpha": (int, float),
    "final_resolution": int,
    "channels": int,
    "bits": int,
    "latent_size": int,
    "label_size": int,
    "label_names": (list, tuple),
    "label_rows": (list, tuple),
    "best": Mapping,
    "metrics": Mapping,
    "imported_from": str,
    "original_name": str,
    "original_version": str,
}


def as_keras_model(generator: Generator, *, resolution: int, alpha: float | None) -> keras.Model:
    """Return a functional model of a generator at one stage, which shares its weights.

    Args:
      generator: usually the EMA generator.
      resolution: the stage's.
      alpha: the weight of the newest layers, fixed in the model; None if the stage does not fade.

    Returns:
      A model of the inputs `latents [b latent_size]`, and `labels [b n]` if it is conditional; its
      output is `[b h w channels]` float32 in [-1, 1].
    """
    config = generator.config
    latents = keras.Input([config.resolved_latent_size], name="latents", dtype="float32")
    labels = None
    if config.label_size:
        labels = keras.Input([config.label_size], name="labels", dtype="float32")
    images = generator(latents, labels, resolution=resolution, alpha=alpha)
    # A single input is not put into a list, because Keras then warns when called without one.
    inputs = latents if labels is None else [latents, labels]
    return keras.Model(inputs, images, name="generator")


def save_generator(path: Path, model: keras.Model, description: GeneratorDescription) -> None:
    """Write a generator and its description, whole or not at all.

    Args:
      path: ends in `.keras`.
      model: from `as_keras_model`.
      description: of the generator.
    """
    with whole_file(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(DESCRIPTION_NAME, json.dumps(description.to_json(), indent=2))


def load_generator(
    path: str | os.PathLike, *, dtype: str | None = None, ema_length: float | None = None
) -> keras.Model:
    """Load a generator.

    Args:
      path: a `.keras` file, a run directory, whose newest EMA generator is loaded, or
        `hf://user/name` on Hugging Face's hub, which is downloaded into its client's cache.
      dtype: Keras dtype policy to compute in, such as "float32" or "mixed_bfloat16"; None for the
        one it was trained in. Weights and images are float32 in any case.
      ema_length: length of the moving average, as a fraction of the images seen, to be made from
        the averages that a run with `--ema_lengths` has saved; None for the saved generator.

    Returns:
      A functional model: inputs `latents [b latent_size]`, and `labels [b n]` if it is
      conditional; output `[b h w c]` float32 in [-1, 1].

    Raises:
      UserError: there is no generator at `path`, or a broken one, or averages from which such an
        average can't be made.
    """
    file = find_generator(path)
    average = None if ema_length is None else post_hoc_average(file, ema_length)
    let_gpu_memory_grow()
    try:
        model = load_keras_file(file)
    except UserError:
        raise
    except Exception as error:  # Keras fails in any way on a damaged file
        if is_out_of_memory(error):
            raise
        raise UserError(f"{file}: not a generator that can be loaded: {error}") from error
    _check_generator(model, file)
    if average is not None:
        average.assign_to(model)
    return model if dtype is None else _with_dtype(model, dtype)


def post_hoc_average(file: Path, ema_length: float) -> PostHocAverage:
    """Return the moving average of a length, at the images seen of a saved generator.

    Raises:
      UserError: it can't be made.
    """
    return PostHocAverage(file.parent, images_seen=images_seen_of(file), length=ema_length)


def _check_generator(model: Any, file: Path) -> None:
    """Check that a loaded Keras object is a generator of this project, with finite weights.

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
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            raise UserError(
                f"{file}: a broken network: its weights must be finite. Received: NaN or infinity "
                f"in {weight.path}"
            )
    if not any(layer.name == LATENT_NORM for layer in model.layers):
        raise UserError(
            f"{file}: not a generator of pgan_tf: it has no layer {LATENT_NORM}. "
            f"Received: a model named {model.name}"
        )


def _with_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """Return a copy of a model that computes in another dtype policy."""

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        # Operations that are not layers (a reshape, a cast) have no policy; inputs stay float32.
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = dtype
        return type(layer).from_config(config)

    converted = keras.models.clone_model(model, clone_function=convert)
    converted.set_weights(model.get_weights())
    return converted


def describe_generator(path: str | os.PathLike) -> dict[str, Any]:
    """Return the description inside a saved generator, as JSON values.

    Args:
      path: as `load_generator` takes it.

    Returns:
      Values such as `kimg`, `resolution` and `label_names`, by name (see `GeneratorDescription`);
      empty for a file without a description.

    Raises:
      UserError: there is no `.keras` file at `path`, or its description is damaged.
    """
    file = find_generator(path)
    with open_keras_archive(file) as archive:
        if DESCRIPTION_NAME not in archive.namelist():
            return {}
        return parse_object(archive.read(DESCRIPTION_NAME), f"{file}: {DESCRIPTION_NAME} in it")


def read_description(path: str | os.PathLike) -> GeneratorDescription:
    """Read the description inside a saved generator; see `describe_generator`."""
    return GeneratorDescription.from_json(describe_generator(path))


def find_generator(path: str | os.PathLike) -> Path:
    """Return the `.keras` file at `path`: that file, or the newest of a run, or one of the hub.

    Raises:
      UserError: there is none.
    """
    path = require_network(path)
    if path.is_file():
        return path
    saved = find_snapshots(path)
    if saved:
        return saved[-1]
    imported = path / "generator.keras"
    if imported.is_file():
        return imported
    raise UserError(f"{path}: no generator in it; expected networks/generator-NNNNNN.keras")


def find_snapshots(run: Path) -> list[Path]:
    """Return every generator that a run has saved while training, oldest first."""
    files = (run / NETWORKS_NAME).glob("*.keras")
    return sorted(
        (file for file in files if GENERATOR_PATTERN.fullmatch(file.name) and file.is_file()),
        key=lambda file: images_seen_of(file) or 0,
    )


def images_seen_of(file: Path) -> int | None:
    """Return the real images that a saved generator was trained on; None if unknown.

    The number is taken from its description or else from its name, which may be rounded.
    """
    match = GENERATOR_PATTERN.fullmatch(file.name)
    by_name = round(float(match["kimg"]) * 1000) if match else None
    try:
        described = read_description(file).images_seen
    except UserError:
        return by_name
    return by_name if described is None else described


def as_function(model: keras.Model, *, bits: int | None = None) -> Generate:
    """Return a generator model as a function of NumPy arrays.

    Args:
      model: a generator.
      bits: 8 or 16, of the values of its images, `quantize`d; None for float32.
    """

    def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        images = model(latents if labels is None else [latents, labels], training=False)
        return keras.ops.convert_to_numpy(quantize(images, bits) if bits else images)

    return generate
