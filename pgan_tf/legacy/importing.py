"""From a network file of the original to a directory of ours."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.config import NetworkConfig, ScheduleConfig, TrainConfig, flags
from pgan_tf.legacy import OriginalNetwork, OriginalNetworks, read_networks
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import CONFIG_NAME, RunDirectory
from pgan_tf.runs.saved_generator import GeneratorDescription, as_keras_model, save_generator
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import check_output, staged_directory

GENERATOR = "generator.keras"
RAW_GENERATOR = "generator-raw.keras"
DISCRIMINATOR = "discriminator.keras"

# Nothing is computed with them here, so a GPU is left to others.
_DEVICE = "/CPU:0"


@dataclasses.dataclass(frozen=True)
class Imported:
    """What was imported, for a summary.

    Attributes:
      version: "TensorFlow" or "Theano".
      config: the generator's shape.
      resolution: of the stage it was saved at.
      alpha: how far that stage had faded in; None where that was over.
      files: name of each network in the file by the file it was written to.
      no_run: why no run can begin with them; None if one can.
    """

    version: str
    config: NetworkConfig
    resolution: int
    alpha: float | None
    files: Mapping[str, str]
    no_run: str | None


def import_networks(source: Path, output: Path, *, overwrite: bool = False) -> Imported:
    """Writes the networks of an original network file as ours; nothing in it is executed.

    `output` gets `generator.keras` (the EMA generator), `generator-raw.keras` (as it was trained)
    and `discriminator.keras`, each at the stage it was saved at. With a generator and a
    discriminator of the same shape it is also a run directory, with `config.flags` and a checkpoint
    of no training yet, which `pgan-train --init_from` begins a run with.

    Where a file has one generator only, it stands for both.

    Args:
      source: the network file (.pkl), of the TensorFlow or the Theano version.
      output: a new directory, written whole or not at all.
      overwrite: whether what an import wrote there before may be replaced.

    Raises:
      UserError: the file can't be read, asks for code, or holds other networks than ours; or the
        output exists.
    """
    output = output.absolute()
    check_output(output, overwrite, belongs=_belongs, content="imported networks")
    networks = read_networks(source)
    ema = networks.ema_generator or networks.generator
    if ema is None:
        raise UserError(f"{source}: no generator in it. Received: {_name(networks.discriminator)}")
    no_run = _why_no_run(networks, ema)
    with staged_directory(output) as directory:
        files = _write(directory, source, networks, ema, with_run=no_run is None)
    return Imported(ema.version, ema.config, ema.resolution, ema.alpha, files, no_run)


def _belongs(file_name: str, _: str) -> bool:
    own = (GENERATOR, RAW_GENERATOR, DISCRIMINATOR, CONFIG_NAME, "checkpoints")
    return file_name in own


def _name(network: OriginalNetwork | None) -> str:
    return network.name if network else "nothing"


# What is computed with a generator's weights.
_GENERATOR_OPTIONS = (
    "normalize_latents",
    "generator_norm",
    "pixel_norm_epsilon",
    "generator_activation",
    "output_activation",
)


def _why_no_run(networks: OriginalNetworks, ema: OriginalNetwork) -> str | None:
    """Why these networks can't be trained together; None if they can."""
    if networks.discriminator is None:
        return "the file has no discriminator"
    both = ("resolution", "channels", "label_size", "features", "equalized_learning_rate")
    for network, whats in (
        (networks.discriminator, both),
        (networks.generator or ema, both + _GENERATOR_OPTIONS),
    ):
        for what in whats:
            ours, other = _describe(what, ema.config), _describe(what, network.config)
            if ours != other:
                return f"{ema.name} and {network.name} differ in {what}: {ours} and {other}"
    return None


def _describe(what: str, config: NetworkConfig) -> Any:
    if what == "features":
        return [config.features(stage) for stage in range(config.resolution_log2)]
    return getattr(config, what)


def _write(
    directory: Path,
    source: Path,
    networks: OriginalNetworks,
    ema: OriginalNetwork,
    *,
    with_run: bool,
) -> dict[str, str]:
    """Writes all files; returns which network went into which."""
    raw, discriminator = networks.generator or ema, networks.discriminator
    files = {GENERATOR: ema.name, RAW_GENERATOR: raw.name}
    # One after the other, since a network of 1024x1024 takes 100 MB, and a few times that in work.
    _save_generator(directory / GENERATOR, source, ema)
    _save_generator(directory / RAW_GENERATOR, source, raw)
    if discriminator is None:
        return files
    _save_discriminator(directory / DISCRIMINATOR, discriminator)
    if with_run:
        config = _run_config(ema, discriminator)
        text = f"{flags.to_flagfile(config)}# Imported from {source.name}\n"
        (directory / CONFIG_NAME).write_text(text)
        _save_state(RunDirectory(directory).checkpoints, config, ema, raw, discriminator)
    return {**files, DISCRIMINATOR: discriminator.name}


def _save_generator(path: Path, source: Path, original: OriginalNetwork) -> None:
    with tf.device(_DEVICE):
        generator = Generator(original.config)
        _assign(generator, original.weights)
        model = as_keras_model(generator, resolution=original.resolution, alpha=original.alpha)
        save_generator(path, model, _description(source, original))


def _save_discriminator(path: Path, original: OriginalNetwork) -> None:
    """As a model from `images [b h w c]` in [-1, 1] to `scores [b]` and `logits [b n]`, if any."""
    side, channels = original.resolution, original.config.channels
    with tf.device(_DEVICE):
        discriminator = Discriminator(original.config)
        _assign(discriminator, original.weights)
        images = keras.Input([side, side, channels], name="images", dtype="float32")
        scores, logits = discriminator(images, resolution=side, alpha=original.alpha)
        outputs = keras.layers.Identity(name="scores", dtype="float32")(scores)
        if logits is not None:
            outputs = [outputs, keras.layers.Identity(name="logits", dtype="float32")(logits)]
        keras.Model(images, outputs, name="discriminator").save(path)


def _save_state(
    directory: Path,
    config: TrainConfig,
    ema: OriginalNetwork,
    raw: OriginalNetwork,
    discriminator: OriginalNetwork,
) -> None:
    """A checkpoint of networks that `config` has not trained yet."""
    state = TrainState(config, tf.distribute.OneDeviceStrategy(_DEVICE))
    _assign(state.ema_generator, ema.weights)
    _assign(state.generator, raw.weights)
    _assign(state.discriminator, discriminator.weights)
    Checkpoints(directory, state, keep=1).save()


def _run_config(ema: OriginalNetwork, discriminator: OriginalNetwork) -> TrainConfig:
    """A run of these networks that goes on where the original was, at the same resolution."""
    network = dataclasses.replace(
        ema.config,
        fused_scale=discriminator.config.fused_scale,
        minibatch_features=discriminator.config.minibatch_features,
        stddev_group_size=discriminator.config.stddev_group_size,
    )
    return TrainConfig(network=network, schedule=ScheduleConfig(start_resolution=ema.resolution))


def _assign(network: Generator | Discriminator, weights: Mapping[str, np.ndarray]) -> None:
    variables = network.variables
    if set(variables) != set(weights):  # no fault of the file's: it fits its own options
        raise RuntimeError(f"{network.name}: {sorted(set(variables) ^ set(weights))}")
    for path, variable in variables.items():
        variable.assign(weights[path])


def _description(source: Path, network: OriginalNetwork) -> GeneratorDescription:
    return GeneratorDescription(
        resolution=network.resolution,
        alpha=1.0 if network.alpha is None else network.alpha,
        final_resolution=network.config.final_resolution,
        channels=network.config.channels,
        latent_size=network.config.resolved_latent_size,
        label_size=network.config.label_size,
        label_names=[],
        imported_from=source.name,
        original_name=network.name,
        original_version=network.version,
    )
