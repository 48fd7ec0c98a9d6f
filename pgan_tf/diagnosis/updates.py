"""Updates that are skipped because a gradient is not finite, more and more of them."""

import statistics
from collections.abc import Sequence

from pgan_tf.config import TrainConfig
from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import Tick
from pgan_tf.diagnosis.remedies import lower_rates

_SKIPPED = ("updates/discriminator_skipped", "updates/generator_skipped")

# Fraction of updates. In float16, some are skipped at the start until the scale of the loss fits,
# then one in some thousand.
_MANY = 0.05
_TICKS = 3


def _look(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    if len(ticks) <= 2 * _TICKS:
        return Verdict.UNKNOWN
    fractions = [
        _fraction(before, tick, subject.config)
        for before, tick in zip(ticks[-2 * _TICKS - 1 : -1], ticks[-2 * _TICKS :], strict=True)
    ]
    before, now = statistics.mean(fractions[:_TICKS]), statistics.mean(fractions[_TICKS:])
    if now < max(_MANY, before):
        return Verdict.HEALTHY
    seen = f"{now:.0%} of updates are skipped, because gradients are not finite"
    advice, flags = _remedy(subject.config)
    return Sign(seen, advice, flags)


def _fraction(before: Tick, tick: Tick, config: TrainConfig) -> float:
    """Return the fraction of a tick's updates that were skipped."""
    steps = (tick.images_seen - before.images_seen) / tick.phase.batch_size
    updates = steps * (1 + 1 / config.optimizer.discriminator_steps)
    skipped = sum(tick.get(tag) or 0.0 for tag in _SKIPPED)
    return skipped / updates if updates > 0 else 0.0


def _remedy(config: TrainConfig) -> tuple[str, dict[str, str]]:
    if config.run.precision == "mixed_float16":
        return "bfloat16, which has a wider range, would help", {"precision": "mixed_bfloat16"}
    return "a lower learning rate would help", lower_rates(config)


NOT_FINITE = Check("not_finite", _look, patience=2, always=True)
