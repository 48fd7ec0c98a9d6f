"""The import: from a network file of the original to a directory of our files."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.config import NetworkConfig, ScheduleConfig, TrainConfig, flags
from pgan_tf.distribution.devices import let_gpu_memory_grow
from pgan_tf.legacy import OriginalNetwork, OriginalNetworks, read_networks
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import CONFIG_NAME, RunDirectory
from pgan_tf.runs.saved_generator import GeneratorDescription, as_keras_model, save_generator
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import check_output, staged_directory
from tfrecords_tools.printable import printable
from tfrecords_tools.untrusted.regular_file import MAX_TEXT_BYTES, read_bytes

GENERATOR = "generator.keras"
RAW_GENERATOR = "generator-raw.keras"
DISCRIMINATOR = "discriminator.keras"

# Begins the last line of `config.flags`, which a run that is continued there does not keep.
_IMPORTED = b"\n# Imported from "
# A checkpoint before any training.
_CHECKPOINT = re.compile(r"state-0+\.(index|data-\d{5}-of-\d{5})")

# Networks are only converted here, so GPUs are left to others.
_DEVICE = "/CPU:0"


@dataclasses.dataclass(frozen=True)
class Imported:
    """A summary of what was imported.

    Attributes:
      version: of the original, "TensorFlow" or "Theano".
      config: the generator's shape.
      resolution: of the stage at which the generator was saved.
      alpha: of that stage while it fades in; None afterwards.
      files: names of the networks in the original's file, by the files written from them.
      no_run: why no run can begin with these networks; None if one can.
    """

    version: str
    config: NetworkConfig
    resolution: int
    alpha: float | None
    files: Mapping[str, str]
    no_run: str | None


def import_networks(source: Path, output: Path, *, overwrite: bool = False) -> Imported:
    """Convert the networks of an original network file; execute nothing in it.

    Writes `generator.keras` (the EMA generator), `generator-raw.keras` (as trained) and
    `discriminator.keras` into `output`, each at the stage at which it was saved. With a generator
    and a discriminator of the same shape, `output` is also a run directory, with `config.flags` and
    a checkpoint before any training, from which `pgan-train --init_from` begins a run.

    A single generator in the file stands for both generators.

    Args:
      source: the network file (.pkl) of the TensorFlow or the Theano version.
      output: a new directory, written whole or not at all.
      overwrite: whether an earlier import in `output` may be replaced.

    Raises:
      UserError: the file can't be read, asks for code, or holds networks that pgan_tf does not
        have; or `output` exists.
    """
    output = output.absolute()
    check = functools.partial(
        check_output, output, overwrite, belongs=_belongs, content="imported networks"
    )
    check()
    networks = read_networks(source)
    ema = networks.ema_generator or networks.generator
    if ema is None:
        raise UserError(f"{source}: no generator in it. Received: {_name(networks.discriminator)}")
    no_run = _why_no_run(networks, ema)
    let_gpu_memory_grow()
    with staged_directory(output, check=check) as directory:
        files = _write(directory, source, networks, ema, with_run=no_run is None)
    return Imported(ema.version, ema.config, ema.resolution, ema.alpha, files, no_run)


def _belongs(path: Path) -> bool:
    """Return whether an entry of a directory is of an import, rather than of a run."""
    if path.name == RunDirectory(path.parent).checkpoints.name:
        return path.is_dir() and all(_CHECKPOINT.fullmatch(file.name) for file in path.iterdir())
    if path.name == CONFIG_NAME:
        return path.is_file() and _IMPORTED in read_bytes(path, MAX_TEXT_BYTES)
    return path.is_file() and path.name in (GENERATOR, RAW_GENERATOR, DISCRIMINATOR)


def _name(network: OriginalNetwork | None) -> str:
    return network.name if network else "nothing"


# Options that change the result of a generator, not its weights.
_GENERATOR_OPTIONS = (
    "normalize_latents",
    "generator_norm",
    "pixel_norm_epsilon",
    "generator_activation",
    "output_activation",
)


def _why_no_run(networks: OriginalNetworks, ema: OriginalNetwork) -> str | None:
    """Return why these networks can't be trained together; None if they can."""
    if networks.discriminator is None:
        return "the file has no discriminator"
    both = ("resolution", "channels", "label_size", "features", "equalized_learning_rate")
    for network, options in (
        (networks.discriminator, both),
        (networks.generator or ema, both + _GENERATOR_OPTIONS),
    ):
        for option in options:
            expected, actual = _value(option, ema.config), _value(option, network.config)
            if expected != actual:
                return f"{ema.name} and {network.name} differ in {option}: {expected} and {actual}"
    return None


def _value(option: str, config: NetworkConfig) -> Any:
    if option == "features":
        return [config.features(stage) for stage in range(config.resolution_log2)]
    return getattr(config, option)


def _write(
    directory: Path,
    source: Path,
    networks: OriginalNetworks,
    ema: OriginalNetwork,
    *,
    with_run: bool,
) -> dict[str, str]:
    """Write all files; return the names of the networks by the files written from them."""
    raw, discriminator = networks.generator or ema, networks.discriminator
    files = {GENERATOR: ema.name, RAW_GENERATOR: raw.name}
    # One after the other: a network of 1024x1024 takes 100 MB, its conversion several times that.
    _save_generator(directory / GENERATOR, source, ema)
    _save_generator(directory / RAW_GENERATOR, source, raw)
    if discriminator is None:
        return files
    _save_discriminator(directory / DISCRIMINATOR, discriminator)
    if with_run:
        config = _run_config(ema, discriminator)
        imported = f"{_IMPORTED.decode().lstrip()}{printable(source.name)}\n"
        (directory / CONFIG_NAME).write_text(flags.to_flagfile(config) + imported, "utf-8")
        _save_state(RunDirectory(directory).checkpoints, config, ema, raw, discriminator)
    return {**files, DISCRIMINATOR: discriminator.name}


def _save_generator(path: Path, source: Path, original: OriginalNetwork) -> None:
    with tf.device(_DEVICE):
        generator = Generator(original.config)
        _assign(generator, original.weights)
        model = as_keras_model(generator, resolution=original.resolution, alpha=original.alpha)
        save_generator(path, model, _description(source, original))


def _save_discriminator(path: Path, original: OriginalNetwork) -> None:
    """Save a model from `images [b h w c]` in [-1, 1] to `scores [b]` and any `logits [b n]`."""
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
    """Save a checkpoint of networks before any training."""
    state = TrainState(config, tf.distribute.OneDeviceStrategy(_DEVICE))
    _assign(state.ema_generator, ema.weights)
    _assign(state.generator, raw.weights)
    _assign(state.discriminator, discriminator.weights)
    Checkpoints(directory, state, keep=1).save()


def _run_config(ema: OriginalNetwork, discriminator: OriginalNetwork) -> TrainConfig:
    """Return the configuration of a run that goes on at the original's stage."""
    network = dataclasses.replace(
        ema.config,
        fused_scale=discriminator.config.fused_scale,
        minibatch_features=discriminator.config.minibatch_features,
        stddev_group_size=discriminator.config.stddev_group_size,
    )
    return TrainConfig(network=network, schedule=ScheduleConfig(start_resolution=ema.resolution))


def _assign(network: Generator | Discriminator, weights: Mapping[str, np.ndarray]) -> None:
    variables = network.variables
    if set(variables) != set(weights):  # a fault here: the file was found to fit its options
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
