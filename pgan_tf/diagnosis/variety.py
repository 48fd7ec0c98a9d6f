"""Collapse: fakes vary less than reals, among all or within a class."""

import statistics
from collections.abc import Sequence

from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import Tick, newest
from pgan_tf.diagnosis.measurements import (
    CLASS_VARIETY,
    NEAREST,
    REAL_SIMILARITY,
    SIMILARITY,
    VARIETY,
)
from pgan_tf.diagnosis.remedies import lower_rates

# Mean distance between fakes, in that between reals. Healthy runs had 0.65 and more, also with
# fakes that were still blurred.
_COLLAPSED = 0.3
_MEASUREMENTS = 3


def _look(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    values = newest(ticks, VARIETY, _MEASUREMENTS)
    nearest = newest(ticks, NEAREST, _MEASUREMENTS)
    if values is None or nearest is None:
        return Verdict.UNKNOWN
    mean, mean_nearest = statistics.mean(values), statistics.mean(nearest)
    if min(mean, mean_nearest) >= _COLLAPSED:
        return Verdict.HEALTHY
    seen = f"fakes vary {mean:.0%} as much as reals"
    if mean >= _COLLAPSED:  # a few kinds of fakes, each time the same
        seen = f"most fakes have a twin, {mean_nearest:.0%} as far as the real nearest to a real"
    seen += _similarity(ticks[-1])
    return Sign(seen, "a lower learning rate would help", lower_rates(subject.config))


def _look_within_classes(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    values = newest(ticks, CLASS_VARIETY, _MEASUREMENTS)
    overall = newest(ticks, VARIETY, _MEASUREMENTS)
    if values is None or overall is None:
        return Verdict.UNKNOWN
    mean = statistics.mean(values)
    if statistics.mean(overall) < _COLLAPSED:
        return Verdict.UNKNOWN  # of all fakes, which the other check says
    if mean >= _COLLAPSED:
        return Verdict.HEALTHY
    seen = f"fakes of a class vary {mean:.0%} as much as its reals"
    weight = subject.config.loss.resolved_generator_label_weight / 4
    if not weight:
        return Sign(seen, "a lower learning rate would help", lower_rates(subject.config))
    return Sign(
        seen,
        "a lower weight of the generator's label loss would help",
        {"generator_label_weight": f"{weight:.3g}"},
    )


def _similarity(tick: Tick) -> str:
    fakes, reals = tick.get(SIMILARITY), tick.get(REAL_SIMILARITY)
    if fakes is None or reals is None:
        return ""
    return f" (MS-SSIM of pairs {fakes:.2f}, of reals {reals:.2f})"


COLLAPSE = Check("collapse", _look, patience=3)
CLASS_COLLAPSE = Check("class_collapse", _look_within_classes, patience=3)
