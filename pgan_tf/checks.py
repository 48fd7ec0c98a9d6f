"""What is made sure of before a run: that a configuration fits its data and devices."""

import dataclasses
import itertools
import os
from pathlib import Path

from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.schedule import Schedule
from pgan_tf.training_data import TrainingData
from tfrecords_tools.errors import UserError


def fit_to_data(config: TrainConfig, pyramid: TrainingData) -> TrainConfig:
    """The configuration with what only the data can tell filled in, and paths from the root.

    Raises:
      UserError: they do not fit.
    """
    # So that the run can be continued from any directory. A URL is the same from everywhere.
    directory = pyramid.directory
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
        raise UserError(f"{pyramid.directory}: --{error}") from error


def check_batches(schedule: Schedule, stddev_group_size: int, replicas: int) -> None:
    """Makes sure that every global batch splits evenly over replicas and minibatch stddev groups.

    Warns where a replica has too few images for the groups that one device would have, since that
    changes what is learned.

    Raises:
      UserError: one does not.
    """
    for phase in schedule.phases:
        batch_size, group = phase.batch_size, _group(phase.batch_size, stddev_group_size, replicas)
        if not _splits(batch_size, stddev_group_size, replicas):
            near = [
                next((b for b in numbers if _splits(b, stddev_group_size, replicas)), None)
                for numbers in (range(batch_size, 0, -1), itertools.count(batch_size))
            ]
            raise UserError(
                f"--batch_size at {phase.resolution}x{phase.resolution} must be a multiple of "
                f"{replicas * group}, for {replicas} replicas and stddev groups of {group}; the "
                f"nearest: {' and '.join(str(b) for b in near if b)}. Received: {batch_size}"
            )
    small = {
        phase.resolution: phase.batch_size
        for phase in schedule.phases
        if _group(phase.batch_size, stddev_group_size, replicas)
        < min(stddev_group_size, phase.batch_size)
    }
    if small:
        listed = ", ".join(f"{batch_size} at {side}x{side}" for side, batch_size in small.items())
        logging.warning(
            "--batch_size %s leaves each of %d replicas fewer images than --stddev_group_size=%d: "
            "minibatch stddev compares fewer, and learns otherwise than on one device",
            listed,
            replicas,
            stddev_group_size,
        )


def _group(batch_size: int, stddev_group_size: int, replicas: int) -> int:
    """Samples in a minibatch stddev group of a replica."""
    return min(stddev_group_size, max(1, batch_size // replicas))


def _splits(batch_size: int, stddev_group_size: int, replicas: int) -> bool:
    return batch_size % (replicas * _group(batch_size, stddev_group_size, replicas)) == 0


def smaller_batch(batch_size: int, stddev_group_size: int, replicas: int) -> int | None:
    """The largest global batch up to half of `batch_size` that `check_batches` accepts, or None."""
    per_replica = batch_size // replicas // 2
    if per_replica > stddev_group_size:
        per_replica -= per_replica % stddev_group_size
    return per_replica * replicas or None


def required(value: str, name: str) -> str:
    """The value of a flag of `pgan-train` that has to be given.

    Raises:
      UserError: it is empty.
    """
    if not value:
        raise UserError(f"--{name} is required. See pgan-train --help")
    return value
