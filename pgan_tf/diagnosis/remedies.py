"""Remedies: flags that would help, and the command that trains on with them."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from pgan_tf.config import TrainConfig, flags
from pgan_tf.runs.branching import command_on
from tfrecords_tools.errors import UserError

_FACTOR = 2.0


def lower_rates(config: TrainConfig) -> dict[str, str]:
    """Return flags for half the learning rate at every resolution."""
    return _scaled_rates(config, 1 / _FACTOR)


def raise_rates(config: TrainConfig) -> dict[str, str]:
    """Return flags for twice the learning rate at every resolution."""
    return _scaled_rates(config, _FACTOR)


def _scaled_rates(config: TrainConfig, factor: float) -> dict[str, str]:
    schedule = config.schedule
    values = {"learning_rate": f"{factor * schedule.learning_rate:.4g}"}
    if schedule.learning_rate_by_resolution:
        table = sorted(schedule.learning_rate_by_resolution.items())
        rates = (f"{resolution}:{factor * rate:.4g}" for resolution, rate in table)
        values["learning_rate_by_resolution"] = ",".join(rates)
    return values


def command_with(
    config: TrainConfig, values: Mapping[str, str], *, run: Path, images_seen: int
) -> str:
    """Return the command that trains a run's networks on with other values of flags.

    Args:
      config: of the run, with the values filled in that come from the data.
      values: of flags, by name.
      run: the run's directory.
      images_seen: real images shown so far.

    Returns:
      A command line; it continues the run if a run may be continued with these flags, and else
      begins a new one with its networks. Empty if there are no flags, or not for this run.
    """
    if not values:
        return ""
    try:
        changed = flags.with_values(config, values)
    except UserError:
        return ""  # they contradict a flag of the run, which must go on
    if changed == config:
        return ""
    changes = flags.differences(config, changed)
    if not changes:
        words = [f"--{name}={value}" for name, value in values.items()]
        return f"continue with {shlex.join(['pgan-train', f'--run_dir={run}', *words])}"
    stage = values.get("start_resolution")
    if stage is not None and all(change.name != "start_resolution" for change in changes):
        # The run's own, and named: a phase that has just ended is not the stage to begin with.
        changes = [*changes, flags.Change("schedule", "start_resolution", stage, stage)]
    command = command_on(run, config, changed, changes, images_seen)
    return f"train on with {command}" if command else ""
