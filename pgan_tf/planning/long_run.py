"""A warning of runs that would take months on this machine. Needs no TensorFlow."""

from pathlib import Path

from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.planning.cards import (
    CARDS,
    CPU,
    DEFAULT_CARD,
    Speed,
    cpu_speed,
    find_card,
    models_of_machine,
)
from pgan_tf.planning.phase_table import total_seconds
from pgan_tf.planning.plan import estimate, fit_to_data_dir, replicas_by_flags, shares_memory
from pgan_tf.planning.so_far import read_so_far
from tfrecords_tools.errors import UserError
from tfrecords_tools.host import core_count

MOST_DAYS = 30


def warn_of_long_run(config: TrainConfig, root: Path = Path("/")) -> None:
    """Warn if what is left of a run takes more than a month, by the formula of `--plan`.

    Speeds are those of this machine; of a run that has begun, its own. Data behind a URL are known
    by their manifest alone, and left out if they have none.

    Args:
      config: from flags and the run directory, with the data and the run directory.
      root: of the file system in which this machine's GPUs are looked for.

    Raises:
      UserError: there are no such data, or they do not fit the configuration.
    """
    fitted = _fit_to_data(config)
    if fitted is None:
        return
    config = fitted
    schedule = config.lay_out()
    models = models_of_machine(root)
    replicas, speed = _speed_here(config, models)
    so_far = read_so_far(config.run.run_dir, schedule)
    rows = estimate(schedule, config, replicas=replicas, speed=speed, so_far=so_far)
    days = (total_seconds(rows) or 0) / 86400
    if days <= MOST_DAYS:
        return
    on_cpu = not models or shares_memory(config)
    device = f" --plan_device={CPU}" if on_cpu else f" --plan_replicas={replicas}"
    logging.warning(
        "this run takes about %.0f days%s; --plan%s shows where. Less: a lower --resolution, "
        "--fmap_max or --total_kimg%s",
        days,
        "" if so_far.measured else f" on {_machine(models, on_cpu)}",
        "" if so_far.measured else device,
        ", or --flagfile=configs/demo.flags" if on_cpu else "",
    )


def _fit_to_data(config: TrainConfig) -> TrainConfig | None:
    """Return the configuration with the data's sizes; None if only opening the data tells them."""
    url = config.data.data_dir
    if "://" not in url:
        return fit_to_data_dir(config)
    from pgan_tf.data.remote import read_remote_manifest  # imports TensorFlow

    try:
        # Opening the data takes many requests, and training does it right after.
        manifest = read_remote_manifest(url)
        return config.for_data(
            resolution=manifest["resolution"],
            channels=manifest["channels"],
            label_size=manifest.get("label_size") or 0,
        )
    except (UserError, ValueError):
        return None  # training says what is wrong


def _speed_here(config: TrainConfig, models: list[str]) -> tuple[int, Speed]:
    """Return the number of replicas on this machine, of all workers, and the speed of each."""
    replicas = replicas_by_flags(config)
    if not models or shares_memory(config):
        # Each worker has a machine of its own.
        sharing = config.run.logical_cpus or 1
        return replicas, cpu_speed(core_count(), sharing)
    if config.run.distribution != "one_device":
        replicas *= len(models)
    card = find_card(models[0]) or CARDS[DEFAULT_CARD]
    return replicas, card.speed(config)


def _machine(models: list[str], on_cpu: bool) -> str:
    if on_cpu:
        return f"the {core_count()} CPU cores of this machine, without a GPU"
    return f"{len(models)} {models[0]}"
