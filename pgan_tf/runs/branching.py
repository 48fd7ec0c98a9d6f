"""The command that trains a run's networks on with other flags, in a new run."""

import itertools
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from pgan_tf.config import ScheduleConfig, TrainConfig
from pgan_tf.config.flags import Change
from pgan_tf.config.phases import Schedule

# Options of networks that `--init_from` lets differ.
_WITHOUT_WEIGHTS = ("resolution", "stddev_group_size", "pixel_norm_epsilon", "discriminator_noise")


def way_on(
    run: Path,
    saved: TrainConfig,
    config: TrainConfig,
    changed: Sequence[Change],
    images_seen: int,
) -> str:
    """Return what to do in place of continuing a run with other flags, for an error.

    Args:
      run: the run's directory.
      saved: its configuration.
      config: the configuration that it was to be continued with, fitted to the data.
      changed: the differences of the two that a run can't be continued with.
      images_seen: of its newest checkpoint; 0 if it has none.
    """
    command = command_on(run, saved, config, changed, images_seen)
    if command is None:
        return "name a new --run_dir"
    return f"train its networks on in a new run: {command}"


def command_on(
    run: Path,
    saved: TrainConfig,
    config: TrainConfig,
    changed: Sequence[Change],
    images_seen: int,
) -> str | None:
    """Return the command that trains a run's networks on in a new run; None if they do not fit.

    Arguments are those of `way_on`.
    """
    if not images_seen or any(map(_changes_weights, changed)):
        return None
    given = {change.name: change.new for change in changed}
    stage = Schedule(saved.schedule, config.network.final_resolution).phase_at(images_seen)
    given.setdefault(
        "start_resolution", str(min(stage.resolution, config.network.final_resolution))
    )
    given["total_kimg"] = f"{_kimg_left(config.schedule, images_seen):.10g}"
    words = [
        "pgan-train",
        f"--flagfile={run / 'config.flags'}",
        f"--init_from={run}",
        f"--run_dir={free_name(run)}",
        *(f"--{name}={value}" for name, value in given.items()),
    ]
    return shlex.join(words)


def _kimg_left(schedule: ScheduleConfig, images_seen: int) -> float:
    """Return the thousands of images that are left, or as many as both ramps of the rate take."""
    left = schedule.total_kimg - images_seen / 1000
    if left <= 0:
        return schedule.total_kimg
    ramps = math.ceil(schedule.rampup_kimg + schedule.rampdown_kimg)
    return max(left, ramps) if schedule.rampdown_kimg else left


def _changes_weights(change: Change) -> bool:
    return change.section == "network" and change.name not in _WITHOUT_WEIGHTS


def free_name(run: Path) -> Path:
    """Return a path beside a run where there is nothing yet."""
    names = (run.with_name(f"{run.name}-{number}") for number in itertools.count(2))
    return next(path for path in names if not path.exists())
