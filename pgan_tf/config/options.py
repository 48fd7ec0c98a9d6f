"""How a config's fields become flags, and what their values may be; standard library only."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

MIN_RESOLUTION = 4


def option(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] = (),
    adjustable: bool = False,
    remembered: bool = True,
) -> Any:
    """A dataclass field that becomes a flag.

    Args:
      default: the value if the flag is not given; a mapping is copied for each instance.
      help_text: one sentence for `--help`.
      choices: the values a string may take, if they are limited.
      adjustable: whether a run that exists may be continued with another value.
      remembered: whether a run keeps the value, to be continued with it.
    """
    metadata = {
        "help": help_text,
        "choices": choices,
        "adjustable": adjustable,
        "remembered": remembered,
    }
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def log2(resolution: int) -> int:
    """The exponent of a resolution that is a power of two."""
    return resolution.bit_length() - 1


def require_resolution(name: str, value: int) -> None:
    """Raises ValueError unless `value` is a power of two from 4."""
    if value < MIN_RESOLUTION or value & (value - 1):
        lower = max(MIN_RESOLUTION, 2 ** log2(max(value, 1)))
        nearest = f"{lower}" if value < MIN_RESOLUTION else f"{lower} or {2 * lower}"
        raise ValueError(
            f"{name} must be a power of two from 4, such as {nearest}. Received: {value}"
        )


def require_at_least(name: str, value: float, least: float) -> None:
    """Raises ValueError unless `value` is a finite number from `least` up."""
    if not value >= least or math.isinf(value):
        raise ValueError(f"{name} must be at least {least}. Received: {value}")


def require_positive(name: str, value: float) -> None:
    """Raises ValueError unless `value` is a finite number above 0."""
    if not value > 0 or math.isinf(value):
        raise ValueError(f"{name} must be above 0. Received: {value}")


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {value}")


def require_default(config: Any, name: str, reason: str) -> None:
    """Raises ValueError unless a dataclass's field has its default: elsewhere it has no effect."""
    value, default = getattr(config, name), type(config).__dataclass_fields__[name].default
    if value != default:
        raise ValueError(f"{name} has no effect {reason}. Received: {value}")


def step_range(name: str, value: str) -> tuple[int, int] | None:
    """The steps that `START:END` names, counted from 1, the last included; None for no text.

    Raises:
      ValueError: `value` is neither.
    """
    if not value:
        return None
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", value)
    first, last = (int(step) for step in match.groups()) if match else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(
            f"{name} must be START:END, steps counted from 1, such as 20:30. Received: {value}"
        )
    return first, last
