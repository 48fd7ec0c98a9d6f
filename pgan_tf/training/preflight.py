"""What is made sure of before a run: that a configuration fits its data and devices."""

import dataclasses
import itertools
import os
from pathlib import Path

from absl import logging

from pgan_tf.config import NetworkConfig, TrainConfig
from pgan_tf.config.network import full_stddev_group
from pgan_tf.config.phases import Schedule
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid


def fit_to_data(config: TrainConfig, pyramid: Pyramid) -> TrainConfig:
    """The configuration with what only the data can tell filled in, and paths from the root.

    Raises:
      UserError: they do not fit.
    """
    # So that the run can be continued from any directory. A URL is the same from everywhere.
    directory = pyramid.location
    if isinstance(directory, Path):
        directory = directory.absolute()
    data = dataclasses.replace(config.data, data_dir=str(directory))
    run = dataclasses.replace(
        config.run,
        run_dir=os.path.abspath(config.run.run_dir),
        init_from=config.run.init_from and os.path.abspath(config.run.init_from),
    )
    config = dataclasses.replace(config, data=data, run=run)
    try:
        return config.for_data(
            resolution=pyramid.resolution,
            channels=pyramid.channels,
            label_size=pyramid.label_size,
        )
    except ValueError as error:
        raise UserError(f"{pyramid.location}: --{error}") from error


def check_batches(schedule: Schedule, network: NetworkConfig, replicas: int) -> None:
    """Makes sure that every global batch splits evenly over replicas and minibatch stddev groups.

    Warns where a replica's discriminator compares fewer images than that of one device would, since
    that changes what is learned.

    Raises:
      UserError: one does not.
    """
    for phase in schedule.phases:
        if phase.batch_size == 1 and network.discriminator_norm == "batch":
            raise UserError(
                f"--batch_size at {phase.resolution}x{phase.resolution} must be at least 2 with "
                "--discriminator_norm=batch, which leaves nothing of a single image. Received: 1"
            )
        batch_size, group = phase.batch_size, _group(phase.batch_size, network, replicas)
        if not _splits(batch_size, network, replicas):
            near = [
                next((b for b in numbers if _splits(b, network, replicas)), None)
                for numbers in (range(batch_size, 0, -1), itertools.count(batch_size))
            ]
            groups = f" and stddev groups of {group}" if _has_groups(network) else ""
            raise UserError(
                f"--batch_size at {phase.resolution}x{phase.resolution} must be a multiple of "
                f"{replicas * group}, for {replicas} replicas{groups}; the "
                f"nearest: {' and '.join(str(b) for b in near if b)}. Received: {batch_size}"
            )
    if _has_groups(network):
        _warn_of_small_groups(schedule, network, replicas)
    elif network.minibatch_features != "none" and replicas > 1:
        flag = (
            "stddev_group_size=0"
            if network.minibatch_features == "stddev"
            else "minibatch_features=discrimination"
        )
        logging.warning(
            "--%s on %d replicas: each image is compared with those of its replica, 1/%d of the "
            "minibatch, and what is learned is not what one device learns",
            flag,
            replicas,
            replicas,
        )


def warn_of_short_phases(schedule: Schedule, discriminator_steps: int) -> None:
    """Warns of phases that end before the first step of the generator."""
    short = [
        phase.name
        for phase in schedule.phases
        if phase.end - phase.start <= phase.batch_size * (discriminator_steps - 1)
    ]
    if short:
        logging.warning(
            "%s: fewer steps than --discriminator_steps=%d, so that the generator does not learn",
            ", ".join(short),
            discriminator_steps,
        )


def _warn_of_small_groups(schedule: Schedule, network: NetworkConfig, replicas: int) -> None:
    small = {
        phase.resolution: phase.batch_size
        for phase in schedule.phases
        if _group(phase.batch_size, network, replicas)
        < full_stddev_group(network.stddev_group_size, phase.batch_size)
    }
    if small:
        listed = ", ".join(f"{batch_size} at {side}x{side}" for side, batch_size in small.items())
        logging.warning(
            "--batch_size %s leaves each of %d replicas fewer images than --stddev_group_size=%d: "
            "minibatch stddev compares fewer, and learns otherwise than on one device",
            listed,
            replicas,
            network.stddev_group_size,
        )


def _has_groups(network: NetworkConfig) -> bool:
    """Whether a minibatch falls into groups; else it is taken as a whole, or not looked at."""
    return network.minibatch_features == "stddev" and network.stddev_group_size > 0


def _group(batch_size: int, network: NetworkConfig, replicas: int) -> int:
    """Samples in a minibatch stddev group of a replica; 1 where there are no groups."""
    if not _has_groups(network):
        return 1
    return full_stddev_group(network.stddev_group_size, batch_size // replicas)


def _splits(batch_size: int, network: NetworkConfig, replicas: int) -> bool:
    return batch_size % (replicas * _group(batch_size, network, replicas)) == 0


def smaller_batch(batch_size: int, network: NetworkConfig, replicas: int) -> int | None:
    """The largest global batch up to half of `batch_size` that `check_batches` accepts, or None."""
    per_replica = batch_size // replicas // 2
    per_replica -= per_replica % max(1, _group(per_replica * replicas, network, replicas))
    return per_replica * replicas or None
