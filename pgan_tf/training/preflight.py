"""Checks before a run: does the configuration fit the data and the replicas?"""

import dataclasses
import itertools
import os
from pathlib import Path

from absl import logging

from pgan_tf.config import NetworkConfig, TrainConfig
from pgan_tf.config.network import full_stddev_group
from pgan_tf.config.phases import Phase, Schedule
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid


def fit_to_data(config: TrainConfig, pyramid: Pyramid) -> TrainConfig:
    """Return the configuration with the data's resolution, channels and labels filled in.

    Its paths are made absolute. A configuration that has been fitted before stays as it is.

    Raises:
      UserError: the configuration does not fit the data.
    """
    _check_held_out(config.data.validation_images, pyramid)
    # Absolute, so that the run can be continued from any directory. URLs are absolute already.
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
            base=pyramid.base,
            bits=pyramid.bits,
        )
    except ValueError as error:
        raise UserError(f"{pyramid.location}: --{error}") from error


def _check_held_out(validation_images: int, pyramid: Pyramid) -> None:
    """Check that at least half of the images are left to train on."""
    most = pyramid.count // 2
    if validation_images > most:
        raise UserError(
            f"{pyramid.location}: --validation_images must be at most {most}, half of its "
            f"{pyramid.count} images. Received: {validation_images}"
        )


def check_batches(schedule: Schedule, network: NetworkConfig, replicas: int) -> None:
    """Check that every global batch splits evenly over replicas and groups of minibatch stddev.

    Warns if a replica's discriminator compares fewer images than that of a single device would,
    because that changes what is learned.

    Args:
      schedule: the schedule of the run.
      network: the options of the networks.
      replicas: the number of replicas, of all workers together.

    Raises:
      UserError: a batch does not.
    """
    for phase in schedule.phases:
        _check_batch(phase, network, replicas)
    if _has_groups(network):
        _warn_of_small_groups(schedule, network, replicas)
    elif network.minibatch_features != "none" and replicas > 1:
        _warn_of_separate_minibatches(network, replicas)


def check_scored_images(config: TrainConfig, schedule: Schedule, replicas: int) -> None:
    """Check that there are as many held-out images as an iteration scores.

    Args:
      config: of the run.
      schedule: the schedule of the run.
      replicas: the number of replicas, of all workers together.

    Raises:
      UserError: there are fewer.
    """
    held_out = config.data.validation_images
    for phase in schedule.phases:
        scored = config.validation_batch(phase.batch_size, replicas=replicas).size
        if scored > held_out:
            raise UserError(
                f"--validation_images must be at least {scored}, of which --augment=ada takes the "
                f"scores in each step at {phase.size_text}. "
                f"Received: {held_out}"
            )


def _check_batch(phase: Phase, network: NetworkConfig, replicas: int) -> None:
    batch_size, side = phase.batch_size, phase.size_text
    if batch_size == 1 and network.discriminator_norm == "batch":
        raise UserError(
            f"--batch_size at {side} must be at least 2 with --discriminator_norm=batch, which "
            "leaves nothing of a single image. Received: 1"
        )
    if not _splits(batch_size, network, replicas):
        group = _group(batch_size, network, replicas)
        groups = f" and stddev groups of {group}" if _has_groups(network) else ""
        nearest = [
            next((b for b in candidates if _splits(b, network, replicas)), None)
            for candidates in (range(batch_size, 0, -1), itertools.count(batch_size))
        ]
        raise UserError(
            f"--batch_size at {side} must be a multiple of {replicas * group}, for {replicas} "
            f"replicas{groups}; the nearest: {' and '.join(str(b) for b in nearest if b)}. "
            f"Received: {batch_size}"
        )


def warn_of_short_phases(schedule: Schedule, discriminator_steps: int) -> None:
    """Warn of phases that end before the generator's first step."""
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
        listed = ", ".join(
            f"{batch_size} at {network.size_text(side)}" for side, batch_size in small.items()
        )
        logging.warning(
            "--batch_size %s leaves each of %d replicas fewer images than --stddev_group_size=%d: "
            "minibatch stddev compares fewer, and learns otherwise than on one device",
            listed,
            replicas,
            network.stddev_group_size,
        )


def _warn_of_separate_minibatches(network: NetworkConfig, replicas: int) -> None:
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


def _has_groups(network: NetworkConfig) -> bool:
    """Return whether minibatch stddev compares images in groups, rather than whole batches."""
    return network.minibatch_features == "stddev" and network.stddev_group_size > 0


def _group(batch_size: int, network: NetworkConfig, replicas: int) -> int:
    """Return the size of a replica's minibatch stddev groups; 1 without groups."""
    if not _has_groups(network):
        return 1
    return full_stddev_group(network.stddev_group_size, batch_size // replicas)


def _splits(batch_size: int, network: NetworkConfig, replicas: int) -> bool:
    return batch_size % (replicas * _group(batch_size, network, replicas)) == 0


def smaller_batch(batch_size: int, network: NetworkConfig, replicas: int) -> int | None:
    """Return the largest batch size that `check_batches` accepts, up to half of another.

    Args:
      batch_size: a global batch size.
      network: the options of the networks.
      replicas: the number of replicas, of all workers together.

    Returns:
      A global batch size; None if there is none.
    """
    per_replica = batch_size // replicas // 2
    per_replica -= per_replica % max(1, _group(per_replica * replicas, network, replicas))
    return per_replica * replicas or None


def fitting_microbatches(config: TrainConfig, batch_size: int, *, times_more: int) -> int | None:
    """Return the smallest number of microbatches that a batch splits into and that is enough.

    Args:
      config: fitted to the data.
      batch_size: of a replica.
      times_more: the factor by which they must be more than those of the configuration.

    Returns:
      A number of microbatches; None if there is none.
    """
    least = times_more * config.run.most_microbatches
    groups = config.network.independent_groups(batch_size)
    return next((n for n in range(least, groups + 1) if groups % n == 0), None)
