"""A run's main settings, for TensorBoard's HParams page."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from pgan_tf.config import TrainConfig

Value = bool | int | float | str


def hyperparameters(config: TrainConfig) -> dict[str, Value]:
    """Every setting that changes what is learned, by its flag's name.

    Args:
      config: with what only the data can tell filled in.

    Returns:
      The pyramid's name as `data`, and the options that a run can't be continued with other values
      of, and `total_kimg`. Tables by resolution are text. Those without a value are left out.
    """
    values: dict[str, Value] = {"data": Path(config.data.data_dir).name}
    for section in dataclasses.fields(config):
        options = getattr(config, section.name)
        for field in dataclasses.fields(options):
            if field.metadata.get("adjustable", True) and field.name != "total_kimg":
                continue
            value = getattr(options, field.name)
            if field.name == "latent_size":
                value = config.network.resolved_latent_size
            if isinstance(value, Mapping):
                value = ",".join(f"{key}:{entry}" for key, entry in sorted(value.items()))
            if value not in (None, ""):
                values[field.name] = value
    return values
