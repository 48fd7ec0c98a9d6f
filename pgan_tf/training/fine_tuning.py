"""Initial weights from another run, or from imported networks (`--init_from`).

TensorFlow is imported only where a checkpoint is read, so that `pgan-train --plan` starts without.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from pgan_tf.config import LossConfig, NetworkConfig, ScheduleConfig, TrainConfig, flags
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.runs.data_note import named_classes, noted_base
from pgan_tf.runs.hub import is_on_hub
from pgan_tf.runs.run_directory import (
    CONFIG_NAME,
    RunDirectory,
    checkpoint_path,
    list_checkpoints,
    read_config,
)
from pgan_tf.training.transfer import Transfer, match_classes
from tfrecords_tools.command.flagfile import read_flagfile
from tfrecords_tools.errors import UserError
from tfrecords_tools.printable import say

if TYPE_CHECKING:
    from pgan_tf.step.train_state import TrainState

# The names that TensorFlow gives to the entries of a dictionary in a checkpoint.
_ENTRY = re.compile(r"variables/(?P<name>.*)/\.ATTRIBUTES/VARIABLE_VALUE")

_NETWORKS = ("generator/", "discriminator/", "generator_ema/")


def initial_config(
    init_from: str, resolution: int | None, *, use_labels: bool = True
) -> TrainConfig:
    """Return the defaults of all flags for a run that begins with other networks.

    The shape of the networks and the loss are those of the other run, and the first stage is the
    one that its newest checkpoint is in, so that training continues there. Everything else has its
    usual default.

    Args:
      init_from: the other run's directory.
      resolution: the new run's final resolution; None if the user gives none.
      use_labels: whether the new run uses labels. Without them, the loss has no weights of labels.

    Raises:
      UserError: there is no run at `init_from`.
    """
    saved = _saved_config(init_from)
    images_seen = _newest_checkpoint(init_from)[1]
    stage = saved.lay_out().phase_at(images_seen).resolution
    start = stage if resolution is None else min(stage, resolution)
    schedule = ScheduleConfig(start_resolution=start)
    loss = saved.loss
    if not use_labels:
        usual = LossConfig()
        loss = dataclasses.replace(
            loss,
            label_weight=usual.label_weight,
            generator_label_weight=usual.generator_label_weight,
        )
    return TrainConfig(network=saved.network, loss=loss, schedule=schedule)


def check_initial_networks(
    config: TrainConfig, run: RunDirectory, class_names: Sequence[str] | None
) -> None:
    """Check the networks of `init_from` before a new run is made.

    Does nothing without `init_from`, or for a run that is continued.

    Args:
      config: the configuration, fitted to the data.
      run: the new run's directory.
      class_names: of the data; None if it has none.

    Raises:
      UserError: there is no run at `init_from`, it can't be read, or its networks do not fit.
    """
    if config.run.init_from and not _checkpoints(run.path):
        _read_networks(config, class_names)


def load_initial_networks(
    config: TrainConfig, state: "TrainState", class_names: Sequence[str] | None
) -> None:
    """Load the weights of the networks of `init_from`, if it is given, into a new state.

    The optimizers stay new. Layers of resolutions, and weights of classes, that those networks
    don't have keep their random weights. Prints a list of both. Warns if those networks were
    trained on other images of the same data.

    Args:
      config: the configuration, checked by `check_initial_networks`.
      state: the state of a run that has not begun.
      class_names: of the data; None if it has none.
    """
    if not config.run.init_from:
        return
    path, transfer = _read_networks(config, class_names)
    for network in (state.generator, state.discriminator, state.ema_generator):
        for name, variable in network.variables.items():
            variable.assign(transfer.weights(network.name, name, variable.numpy()))
    state.begin_power_averages()
    say(
        f"--init_from={config.run.init_from}: the networks of {path.name}",
        *(f"  {line}" for line in transfer.lines()),
    )
    _warn_of_images_seen(config)


def _warn_of_images_seen(config: TrainConfig) -> None:
    """Warn if the initial networks were trained on other images of the same data."""
    held_out, saved = config.data.validation_images, _saved_config(config.run.init_from).data
    if saved.data_dir != config.data.data_dir or saved.validation_images == held_out:
        return
    seen = (
        "the networks have been trained on some of the images that this run holds out"
        if held_out > saved.validation_images
        else "this run trains on images that the networks' run held out"
    )
    logging.warning(
        "--init_from=%s: %s, because its --validation_images is %d, and this run's %d",
        config.run.init_from,
        seen,
        saved.validation_images,
        held_out,
    )


def _saved_config(init_from: str) -> TrainConfig:
    if is_on_hub(init_from):
        raise UserError(
            "--init_from must be a run directory: on the hub there are generators alone, without a "
            f"discriminator. Received: {init_from}"
        )
    if not Path(init_from).is_dir():
        received = "a file" if Path(init_from).exists() else "no such directory"
        raise UserError(
            f"--init_from must be a run directory, or one of pgan-import. "
            f"Received: {init_from}, {received}"
        )
    saved = read_config(init_from)
    if saved is None:
        raise UserError(
            f"--init_from={init_from}: no run of pgan-train, nor networks that pgan-import has "
            f"prepared for training (it has no {CONFIG_NAME})"
        )
    return saved


def _checkpoints(run_directory: str | Path) -> list[tuple[Path, int]]:
    """Return path (without suffix) and images_seen of a run's healthy checkpoints, newest first."""
    directory = RunDirectory(run_directory).checkpoints
    return [
        (checkpoint_path(directory, c), c.images_seen)
        for c in list_checkpoints(directory)
        if c.healthy
    ]


def _newest_checkpoint(init_from: str) -> tuple[Path, int]:
    found = _checkpoints(init_from)
    if not found:
        raise UserError(f"--init_from={init_from}: no checkpoint in it")
    return found[0]


def _read_networks(config: TrainConfig, class_names: Sequence[str] | None) -> tuple[Path, Transfer]:
    """Return the newest checkpoint of `init_from`, and its networks fitted to the new run's."""
    init_from, network = config.run.init_from, config.network
    saved = _saved_config(init_from).network
    changed = flags.differences(*(TrainConfig(network=_shape(n)) for n in (saved, network)))
    if changed:
        raise UserError(
            f"--init_from={init_from}: its networks were made with other flags: "
            f"{', '.join(map(str, changed))}. Leave them out to train its networks on"
        )
    if network.convs_per_resolution == 1 and network.resolutions != saved.resolutions:
        raise UserError(
            f"--init_from={init_from}: networks with --convs_per_resolution=1 can't be trained on "
            f"at another resolution than theirs, {saved.final_resolution}, where the discriminator "
            f"has no layer from RGB. Received: --resolution={network.final_resolution}"
        )
    _newest_checkpoint(init_from)  # there is one
    path, arrays = _read_newest([path for path, _ in _checkpoints(init_from)])
    try:
        channels = arrays["generator_ema/to_rgb_4x4/kernel"].shape[-1]
        label_size = len(arrays["discriminator/4x4_dense1/bias"]) - 1
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"--init_from={init_from}: no networks in {path}") from error
    if channels != network.channels:
        raise UserError(
            f"--init_from={init_from}: its networks are for {channels} channel(s). "
            f"Received: data of {network.channels} channel(s)"
        )
    note = read_flagfile(Path(init_from) / CONFIG_NAME).splitlines()
    base = noted_base(note)
    if base != network.base:
        raise UserError(
            f"--init_from={init_from}: its networks are for images that begin at "
            f"{base.text_at(MIN_RESOLUTION)}. Received: data that begin at "
            f"{network.size_text(MIN_RESOLUTION)}"
        )
    classes = match_classes(
        label_size, named_classes(note), network.label_size, class_names or None
    )
    try:
        return path, Transfer(network, arrays, classes)
    except ValueError as error:
        raise UserError(f"--init_from={init_from}: {error}") from error


def _shape(network: NetworkConfig) -> NetworkConfig:
    """Return a network's options, with those that may differ from the initial networks' reset.

    Those are the final resolution, and options without weights.
    """
    return dataclasses.replace(
        network,
        resolution=None,
        latent_size=network.resolved_latent_size,
        pixel_norm_epsilon=NetworkConfig.pixel_norm_epsilon,
        stddev_group_size=NetworkConfig.stddev_group_size,
        discriminator_noise=NetworkConfig.discriminator_noise,
    )


def _read_newest(paths: list[Path]) -> tuple[Path, dict[str, np.ndarray]]:
    """Return the newest of checkpoints that can be read, and its networks' weights by name."""
    for path in paths[:-1]:
        try:
            return path, _read_checkpoint(path)
        except UserError as error:
            logging.warning("%s; trying the one before it", error)
    return paths[-1], _read_checkpoint(paths[-1])


def _read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    from pgan_tf.runs.checkpoint_reader import open_checkpoint

    try:
        reader = open_checkpoint(path)
        arrays = {}
        for entry in reader.get_variable_to_shape_map():
            match = _ENTRY.fullmatch(entry)
            # TensorFlow writes a slash within a name as `.S`, and a dot as two dots.
            name = match["name"].replace(".S", "/").replace("..", ".") if match else ""
            if name.startswith(_NETWORKS):
                arrays[name] = reader.get_tensor(entry)
        return arrays
    except Exception as error:  # TensorFlow fails in any way on a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"--init_from: {path} can't be read: {reason}") from error
