"""Balance of both networks: a discriminator that learns nothing, or everything."""

import statistics
from collections.abc import Sequence

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase
from pgan_tf.diagnosis.approach import comes_no_nearer
from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import LOSS, Tick, in_phase, newest
from pgan_tf.diagnosis.measurements import SEPARATION
from pgan_tf.diagnosis.penalties import NORM, PENALTY, raise_penalty
from pgan_tf.diagnosis.remedies import lower_rates, raise_rates

# Fraction of pairs in which the real scores above the fake: 0.5 by chance. Means of five
# measurements of 32 images deviate by 0.03. Healthy runs had 0.57 to 0.99.
_NOTHING = 0.55
_EVERYTHING = 0.99
_MEASUREMENTS = 5
# Until then, the discriminator of a new stage, or run, has had no time to learn.
_SETTLED = 0.25
# WGAN-GP: a norm that is below half its target, and has hardly risen in the last half of what is
# done of a phase. It may rise slowly where the target is high, as at 4x4 of a large network.
_FLAT = 0.5
_RISES = 1.1
_TICKS_OF_COURSE = 15
# Of the loss when training began. A run that learned changed it by 0.06 in 15 ticks, runs at a rate
# of 1e-7 by less than 0.01.
_STAYS = 0.02


def _look_for_nothing(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    values = newest(ticks, SEPARATION, _MEASUREMENTS)
    if values is None or ticks[-1].fraction < _SETTLED:
        return Verdict.UNKNOWN
    if isinstance(PENALTY.look(ticks, subject), Sign):
        return Verdict.UNKNOWN  # the reason, which that check says
    mean = statistics.mean(values)
    # A discriminator that a generator of good images has just fooled is no trouble.
    if mean < _NOTHING and comes_no_nearer(ticks):
        seen = f"reals score above fakes in {mean:.0%} of pairs, no more than by chance"
        return Sign(seen, "a higher learning rate would help", raise_rates(subject.config))
    for look in (_look_at_norms, _look_at_losses):
        verdict = look(ticks, subject.config)
        if verdict is not Verdict.HEALTHY:
            return verdict
    return Verdict.HEALTHY


def _look_at_norms(ticks: Sequence[Tick], config: TrainConfig) -> Sign | Verdict:
    """Look for a gradient norm of WGAN-GP that stays far below its target.

    A random discriminator tells random images from reals too, but its gradient is flat.
    """
    target = config.loss.gradient_penalty_target
    if config.loss.loss != "wgan_gp" or not config.loss.has_gradient_penalty:
        return Verdict.HEALTHY
    found = [value for tick in in_phase(ticks) if (value := tick.get(NORM)) is not None]
    if not found or found[-1] > _FLAT * target:
        return Verdict.HEALTHY
    if len(found) < _TICKS_OF_COURSE:
        return Verdict.UNKNOWN
    half = len(found) // 2
    before, now = (statistics.mean(found[end - 5 : end]) for end in (half, len(found)))
    if now > _RISES * before:
        return Verdict.HEALTHY
    seen = f"the discriminator's gradient norm does not rise from {now:.2g} to {target:g}"
    return Sign(seen, "a higher learning rate would help", raise_rates(config))


def _look_at_losses(ticks: Sequence[Tick], config: TrainConfig) -> Sign | Verdict:
    """Look for a loss that is what it was when training began, while fakes come no nearer.

    A random discriminator may tell random images from reals, by chance; its loss stays.
    """
    if ticks[-1].phase.index:
        return Verdict.HEALTHY  # of a stage that begins with what the one before has learned
    found = [value for tick in in_phase(ticks) if (value := tick.get(LOSS)) is not None]
    if len(found) < _TICKS_OF_COURSE or not comes_no_nearer(ticks):
        return Verdict.HEALTHY
    before, now = statistics.mean(found[:5]), statistics.mean(found[-5:])
    if abs(now - before) > _STAYS * abs(before):
        return Verdict.HEALTHY
    seen = f"the discriminator's loss stays at {now:.3g}, and fakes come no nearer to reals"
    return Sign(seen, "a higher learning rate would help", raise_rates(config))


def _look_for_everything(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    values = newest(ticks, SEPARATION, _MEASUREMENTS)
    if values is None:
        return Verdict.UNKNOWN
    # Perfect separation is usual, and no trouble while fakes come nearer to reals.
    if min(values) < _EVERYTHING or not comes_no_nearer(ticks):
        return Verdict.HEALTHY
    seen = "the discriminator tells every fake from every real, and fakes come no nearer to reals"
    advice, flags = _weaken(subject.config, ticks[-1].phase)
    return Sign(seen, advice, flags)


def _weaken(config: TrainConfig, phase: Phase) -> tuple[str, dict[str, str]]:
    """Return advice, and flags, for a weaker discriminator."""
    if config.optimizer.discriminator_steps > 1:
        return "fewer discriminator steps would help", {"discriminator_steps": "1"}
    flags = raise_penalty(config, phase)
    if flags:
        return "a gradient penalty, or a larger one, would help", flags
    return "a lower learning rate would help", lower_rates(config)


LEARNS_NOTHING = Check("learns_nothing", _look_for_nothing, patience=3)
LEARNS_EVERYTHING = Check("learns_everything", _look_for_everything, patience=3)
