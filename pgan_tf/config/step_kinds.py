"""Kinds of training steps. Each kind has a graph of its own, which the host chooses by number.

A condition within the graph would be evaluated on the device, and have the host wait for it.
"""

import functools
import itertools
import math
from typing import NamedTuple


class StepKind(NamedTuple):
    """Parts of a step besides the discriminator's update.

    Attributes:
      trains_generator: whether a generator step follows (`discriminator_steps`).
      penalizes: whether the discriminator's gradient is penalized (`penalty_interval`).
    """

    trains_generator: bool = True
    penalizes: bool = True


FULL_STEP = StepKind()


@functools.lru_cache
def step_kinds(discriminator_steps: int, penalty_interval: int) -> tuple[StepKind, ...]:
    """Return the kinds of a phase's first steps, which repeat to its end.

    Args:
      discriminator_steps: the last of so many steps trains the generator.
      penalty_interval: the first of so many steps penalizes.
    """
    return tuple(
        StepKind((number + 1) % discriminator_steps == 0, number % penalty_interval == 0)
        for number in range(math.lcm(discriminator_steps, penalty_interval))
    )


@functools.lru_cache
def longest_run(kinds: tuple[StepKind, ...], kind: StepKind) -> int | None:
    """Return the most steps in a row that are of one kind; None if all are.

    Args:
      kinds: of `step_kinds`.
      kind: one of them.
    """
    if len(set(kinds)) == 1:
        return None
    runs = itertools.groupby(kinds + kinds)
    return max(len(list(run)) for each, run in runs if each == kind)
