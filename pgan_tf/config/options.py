"""Fields of a configuration that become flags, and checks of their values."""

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
    """Return a dataclass field that becomes a flag.

    Args:
      default: the value if the flag is not given; a mapping is copied for each instance.
      help_text: one sentence for `--help`.
      choices: the values that a string may take; empty if any.
      adjustable: whether a run may be continued with another value.
      remembered: whether the value is written to `config.flags`, and used when the run continues.
        Never for what names code, or a network to execute: a run directory may come from a
        stranger.
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
    """Return the base-2 logarithm of a resolution that is a power of two."""
    return resolution.bit_length() - 1


def require_resolution(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a power of two, at least 4."""
    if value < MIN_RESOLUTION or value & (value - 1):
        lower = max(MIN_RESOLUTION, 2 ** log2(max(value, 1)))
        nearest = f"{lower}" if value < MIN_RESOLUTION else f"{lower} or {2 * lower}"
        raise ValueError(
            f"{name} must be a power of two from 4, such as {nearest}. Received: {value}"
        )


def require_at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless `value` is a finite number, at least `least`."""
    if not least <= value < math.inf:
        raise ValueError(f"{name} must be at least {least}. Received: {value}")


def require_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0. Received: {value}")


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {value}")


def require_resolutions(name: str, table: Mapping[int, float]) -> None:
    """Raise ValueError unless the keys of a table by resolution are powers of two, at least 4."""
    for resolution in table:
        require_resolution(name, resolution)


def require_default(config: Any, name: str, reason: str) -> None:
    """Raise ValueError unless a field has its default value, because others would have no effect.

    Args:
      config: the dataclass instance.
      name: the field's name.
      reason: the condition under which the field has no effect, for the message.
    """
    value, field = getattr(config, name), type(config).__dataclass_fields__[name]
    is_table = field.default_factory is not dataclasses.MISSING
    default = field.default_factory() if is_table else field.default
    if value != default:
        received = table_text(value) if is_table else value
        raise ValueError(f"{name} has no effect {reason}. Received: {received}")


def table_text(table: Mapping[int, Any]) -> str:
    """Return the text of a table by resolution, as its flag takes it."""
    return ",".join(f"{key}:{entry}" for key, entry in sorted(table.items()))


def step_range(name: str, value: str) -> tuple[int, int] | None:
    """Parse a range of steps.

    Args:
      name: the flag's name, for the message.
      value: `START:END`, or an empty string.

    Returns:
      The first and the last step, counted from 1; None for an empty string.

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


def distinct_numbers(name: str, value: str, *, most: float) -> tuple[float, ...]:
    """Parse numbers separated by commas.

    Args:
      name: the flag's name, for the message.
      value: the numbers, all different; an empty string for none.
      most: the largest number allowed.

    Raises:
      ValueError: they are not such numbers, or one is not above 0.
    """
    try:
        numbers = [float(text) for text in value.split(",")] if value else []
    except ValueError:
        numbers = [math.nan]
    if not all(0 < number <= most for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"{name} must be different numbers above 0, up to {most:g}, separated by commas. "
            f"Received: {value}"
        )
    return tuple(numbers)
