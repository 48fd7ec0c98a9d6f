"""What is made sure of before a run: that a configuration fits its data and devices."""

import dataclasses
import os
from pathlib import Path

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

    Raises:
      UserError: one does not.
    """
    for phase in schedule.phases:
        group = min(stddev_group_size, max(1, phase.batch_size // replicas))
        unit = replicas * group
        if phase.batch_size % unit:
            lower = phase.batch_size - phase.batch_size % unit
            nearest = f"{lower} and {lower + unit}" if lower else f"{unit}"
            raise UserError(
                f"--batch_size at {phase.resolution}x{phase.resolution} must be a multiple of "
                f"{unit}, for {replicas} replicas and stddev groups of {group}; the nearest: "
                f"{nearest}. "
                f"Received: {phase.batch_size}"
            )


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
