"""The options that the original's networks were built with, as a `NetworkConfig`."""

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from pgan_tf.config import NetworkConfig
from tfrecords_tools.errors import UserError

# Numbers and switches that both can vary: the original's names, and ours.
_SHAPES = {
    "resolution": "resolution",
    "num_channels": "channels",
    "label_size": "label_size",
    "fmap_base": "fmap_base",
    "fmap_decay": "fmap_decay",
    "fmap_max": "fmap_max",
    "latent_size": "latent_size",
    "fused_scale": "fused_scale",
    "mbstd_group_size": "stddev_group_size",
    "pixelnorm_epsilon": "pixel_norm_epsilon",
}
_FRACTIONAL = ("fmap_decay", "pixelnorm_epsilon")
_SWITCH = "fused_scale"
_LARGEST = 2**53


# For each value of an option, our options that make the same network. Other values are refused.
Choices = Mapping[Any, Mapping[str, Any]]

WITHOUT_STDDEV = {"minibatch_features": "none"}

# Options that both versions take.
CHOICES: Mapping[str, Choices] = {
    "normalize_latents": {True: {}, False: {"normalize_latents": False}},
    "use_pixelnorm": {True: {}, False: {"generator_norm": "none"}},
    "use_leakyrelu": {True: {}, False: {"generator_activation": "relu"}},
    # Of the Theano version. The TensorFlow version takes and ignores them, so they also stand in
    # networks that were converted from one to the other.
    "use_batchnorm": {False: {}},
    "use_layernorm": {False: {}},
    "tanh_at_end": {None: {}},
    "mbstat_func": {"Tstdeps": {}},
    "mbstat_avg": {"all": {}},
    "mbdisc_kernels": {None: {}},
}


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The options of one version of the original.

    Attributes:
      defaults: of the options in `_SHAPES`, where the file leaves them out.
      choices: our options for each value of an option with few values.
      ignored: options that make no difference to the weights or to the result.
    """

    defaults: Mapping[str, Any]
    choices: Mapping[str, Choices]
    ignored: frozenset[str]


def network_config(options: Any, dialect: Dialect, where: str) -> NetworkConfig:
    """Return the shape of a network that was built with `options`.

    Raises:
      UserError: an unknown option, or a value out of range; the message names it.
    """
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise UserError(
            f"{where}: its options must be a dictionary. Received: {reprlib.repr(options)}"
        )
    values = dict(dialect.defaults)
    chosen: dict[str, Any] = {}
    for name, value in options.items():
        if name in dialect.defaults:
            values[name] = _plain(name, value, where)
        elif name in dialect.choices:
            chosen.update(_choice(name, value, dialect.choices[name], where))
        elif name not in dialect.ignored:
            raise UserError(
                f"{where}: its option {name:.60} is none that pgan_tf has. "
                f"Received: {reprlib.repr(value)}"
            )
    _check_ranges(values, where)
    if values.get("mbstd_group_size", 0) < 2:
        chosen.update(WITHOUT_STDDEV)
    ours = {**{_SHAPES[name]: value for name, value in values.items()}, **chosen}
    if ours.get("minibatch_features") == "none":
        del ours["stddev_group_size"]
    try:
        return NetworkConfig(**ours)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{where}: {error}") from error


def _choice(name: str, value: Any, choices: Choices, where: str) -> Mapping[str, Any]:
    """Return our options for a value."""
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, bool | int | float | str | None) or value not in choices:
        raise UserError(
            f"{where}: its option {name} must be {' or '.join(map(repr, choices))}; another "
            f"network than pgan_tf has. Received: {reprlib.repr(value)}"
        )
    return choices[value]


def _plain(name: str, value: Any, where: str) -> Any:
    """Return a plain number or switch, of the type that the option takes."""
    if isinstance(value, np.generic):
        value = value.item()
    if name == "latent_size" and value is None:
        return None
    if name == _SWITCH and isinstance(value, bool):
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name != _SWITCH and number and abs(value) < _LARGEST:
        if name in _FRACTIONAL:
            return float(value)
        if float(value).is_integer():
            return int(value)
    raise UserError(f"{where}: its option {name} has no sense. Received: {reprlib.repr(value)}")


def _check_ranges(values: Mapping[str, Any], where: str) -> None:
    """Raise UserError, under the original's names, for values that make no network."""
    if values["num_channels"] not in (1, 3):
        raise UserError(
            f"{where}: its option num_channels must be 1 or 3. Received: {values['num_channels']}"
        )
