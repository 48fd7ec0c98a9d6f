"""Convergence: a stage that ends while its fakes still come nearer to reals."""

import math
import statistics
from collections.abc import Sequence

from pgan_tf.config.intervals import measurement_kimg
from pgan_tf.diagnosis.approach import distances
from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import Tick
from pgan_tf.diagnosis.measurements import DISTANCE

# Measurements of a phase that tell its course from noise.
_LEAST = 12
# From the middle third of a phase to its last, the distance has fallen by so much, ...
_FALL = 0.2
# ... and by so many standard errors.
_CLEARLY = 3.0


def _look(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    phase = ticks[-1].phase
    left = (phase.end - ticks[-1].images_seen) / 1000
    if ticks[-1].get(DISTANCE) is None or left >= measurement_kimg(subject.config, phase):
        return Verdict.UNKNOWN  # not the last measurement of the phase
    course = distances(ticks)
    if len(course) < _LEAST:
        return Verdict.UNKNOWN
    third = len(course) // 3
    middle, last = course[-2 * third : -third], course[-third:]
    fall = statistics.mean(middle) - statistics.mean(last)
    error = math.sqrt((statistics.variance(middle) + statistics.variance(last)) / third)
    if fall < max(_FALL * statistics.mean(middle), _CLEARLY * error):
        return Verdict.HEALTHY
    part = fall / statistics.mean(middle)
    seen = f"in the last third of {phase.name} fakes still came {part:.0%} nearer to reals"
    schedule = subject.config.schedule
    if phase.end >= 1000 * schedule.total_kimg:
        longer = schedule.total_kimg + (phase.end - phase.start) / 1000
        return Sign(seen, "longer training would help", {"total_kimg": f"{longer:g}"})
    # This stage and those between it and the last are doubled; the last keeps its length.
    between = (subject.config.network.final_resolution // phase.resolution).bit_length() - 2
    flags = {
        "stabilize_kimg": f"{2 * schedule.stabilize_kimg:g}",
        "start_resolution": str(phase.resolution),
        "total_kimg": f"{schedule.total_kimg + (2 + between) * schedule.stabilize_kimg:g}",
    }
    return Sign(seen, "a longer stage would help", flags)


UNCONVERGED = Check("unconverged", _look, patience=1)
