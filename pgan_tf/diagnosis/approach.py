"""Approach of fakes to reals in a phase: the generator's, or its average's if those are nearer."""

import statistics
from collections.abc import Sequence

from pgan_tf.diagnosis.history import Tick, in_phase
from pgan_tf.diagnosis.measurements import AVERAGE_DISTANCE, DISTANCE

# In standard deviations of pixels; fakes that look like reals have 0.1 to 0.2.
_FAR = 0.25
# Of the distance some measurements before; those of 32 images deviate by a fifth each.
_NO_NEARER = 0.9
_MEASUREMENTS = 5


def distances(ticks: Sequence[Tick]) -> list[float]:
    """Return the distances from reals that were measured in the newest tick's phase."""
    pairs = ((tick.get(DISTANCE), tick.get(AVERAGE_DISTANCE)) for tick in in_phase(ticks))
    found = ([value for value in pair if value is not None] for pair in pairs)
    return [min(values) for values in found if values]


def comes_no_nearer(ticks: Sequence[Tick]) -> bool:
    """Return whether fakes are far from reals, and have been as far some measurements before."""
    found = distances(ticks)
    if len(found) < 2 * _MEASUREMENTS:
        return False
    before = statistics.mean(found[-2 * _MEASUREMENTS : -_MEASUREMENTS])
    now = statistics.mean(found[-_MEASUREMENTS:])
    return now >= max(_FAR, _NO_NEARER * before)


def has_come_near(ticks: Sequence[Tick]) -> bool:
    """Return whether fakes of the phase have been near to reals; True if nothing was measured."""
    found = distances(ticks)
    return not found or min(found) < _FAR
