"""Moves along directions as people type them. Standard library only."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from tfrecords_tools.errors import UserError

# Far beyond the radius of any latents: more makes no difference.
MAX_AMOUNT = 1000.0


class Move(NamedTuple):
    """A move of latents: the number of a direction, from 1, and the amount along it."""

    direction: int
    amount: float


def parse_moves(texts: Iterable[str]) -> list[Move]:
    """Parse moves: `["1:3,4:-2"]` is [(1, 3.0), (4, -2.0)].

    Args:
      texts: each one or several of `direction:amount`, separated by commas.

    Raises:
      UserError: a text is none, or an amount is out of its range.
    """
    return [_parse(entry) for text in texts for entry in text.split(",")]


def _parse(entry: str) -> Move:
    match = re.fullmatch(r"\s*(\d{1,9})\s*:\s*([^\s:]+)\s*", entry)
    try:
        amount = float(match[2]) if match else math.nan
    except ValueError:
        amount = math.nan
    if match is None or math.isnan(amount):
        raise UserError(
            "--move must be direction:amount, several of them separated by commas, such as "
            f"1:3,4:-2. Received: {entry}"
        )
    if not abs(amount) <= MAX_AMOUNT:
        raise UserError(
            f"--move: an amount must be from -{MAX_AMOUNT:g} to {MAX_AMOUNT:g}; 3 to 6 are a "
            f"strong change. Received: {entry}"
        )
    return Move(int(match[1]), amount)
