"""The gradient penalty's weight: so large that nothing else counts, or too small to hold."""

import math
import statistics
from collections.abc import Callable, Sequence

from pgan_tf.config import LossConfig, TrainConfig
from pgan_tf.config.phases import Phase
from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import LOSS, Tick, newest

_COSTS = ("loss/gradient_penalty", "loss/gradient_penalty_fakes")
_LABEL_COSTS = ("loss/label_real", "loss/label_fake")
NORM = "loss/gradient_norm"
_REAL, _FAKE = "scores/real", "scores/fake"

# Loss of a discriminator that scores all images alike, by adversarial loss.
_CHANCE = {"logistic": 2 * math.log(2), "rpgan": math.log(2)}
# A healthy run with a strong R1 had 0.93 to 0.97.
_AT_CHANCE = 0.995
# WGAN-GP: healthy runs had norms of 0.8 to 1.3 targets from the middle of the first phase on, and
# penalties of a tenth of the difference of scores.
_STEEP = 2.0
_DOMINANT = 2.0
_COUNTS = 0.5
_REACHED = 0.7
_TICKS = 5
# Until then the discriminator of a new stage, or run, adapts.
_SETTLED = 0.25


def _look(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    config = subject.config
    if not config.loss.has_gradient_penalty or ticks[-1].fraction < _SETTLED:
        return Verdict.UNKNOWN
    if config.loss.loss == "wgan_gp":
        return _look_at_wgan_gp(ticks, config)
    losses = _adversarial_losses(ticks, config)
    if losses is None:
        return Verdict.UNKNOWN
    if not _holds_down(ticks, config):
        return Verdict.HEALTHY
    seen = (
        "the gradient penalty lets the discriminator score all images alike (loss "
        f"{statistics.mean(losses):.3g}, {_CHANCE[config.loss.loss]:.3g} by chance)"
    )
    return _smaller(seen, ticks[-1], config)


def _look_at_wgan_gp(ticks: Sequence[Tick], config: TrainConfig) -> Sign | Verdict:
    norms = newest(ticks, NORM, _TICKS)
    costs = newest(ticks, _COSTS[0], _TICKS)
    reals, fakes = newest(ticks, _REAL, _TICKS), newest(ticks, _FAKE, _TICKS)
    if norms is None or costs is None or reals is None or fakes is None:
        return Verdict.UNKNOWN
    target = config.loss.gradient_penalty_target
    norm, cost = statistics.mean(norms), statistics.mean(costs)
    gap = statistics.mean(reals) - statistics.mean(fakes)
    if norm > _STEEP * target:
        seen = f"the gradient norm is {norm:.3g}, and its target {target:g}"
        flags = raise_penalty(config, ticks[-1].phase)
        return Sign(seen, "a larger weight of the penalty would help", flags)
    # Below the target the penalty has not had its way. A difference of scores below 0, against the
    # discriminator's aim, must not excuse the penalty.
    if norm > _REACHED * target and cost > max(_DOMINANT * gap, _COUNTS * abs(gap)):
        seen = (
            f"the gradient penalty is {cost:.3g}, and the difference of scores, for which the "
            f"discriminator is trained, {gap:.3g}"
        )
        return _smaller(seen, ticks[-1], config)
    return Verdict.HEALTHY


def _smaller(seen: str, tick: Tick, config: TrainConfig) -> Sign:
    flags = lower_penalty(config, tick.phase)
    return Sign(seen, "a smaller weight of the penalty would help", flags)


def _holds_down(ticks: Sequence[Tick], config: TrainConfig) -> bool:
    """Return whether R1 and R2 keep the discriminator from telling images apart."""
    losses = _adversarial_losses(ticks, config)
    if losses is None or not any(_gammas(config, ticks[-1].phase, config.loss).values()):
        return False
    return statistics.mean(losses) > _AT_CHANCE * _CHANCE[config.loss.loss]


def _adversarial_losses(ticks: Sequence[Tick], config: TrainConfig) -> list[float] | None:
    """Return the discriminator's losses of the last ticks without penalties and label losses."""
    if config.loss.loss not in _CHANCE:
        return None
    rest = newest(ticks, LOSS, _TICKS)
    tags = [] if config.loss.is_lazy else [tag for tag in _COSTS if ticks[-1].get(tag) is not None]
    weighted = [(tag, 1.0) for tag in tags]
    if config.network.label_size:
        weighted += [(tag, config.loss.label_weight) for tag in _LABEL_COSTS]
    for tag, weight in weighted:
        values = newest(ticks, tag, _TICKS)
        if rest is None or values is None:
            return None
        rest = [total - weight * value for total, value in zip(rest, values, strict=True)]
    return rest


def raise_penalty(config: TrainConfig, phase: Phase) -> dict[str, str]:
    """Return flags for a larger gradient penalty; none if the loss has no penalty at all."""
    return _changed(config, phase, lambda now, usual: usual if now < usual else 10 * now)


def lower_penalty(config: TrainConfig, phase: Phase) -> dict[str, str]:
    """Return flags for a smaller gradient penalty; none if the loss has no penalty at all."""
    return _changed(config, phase, lambda now, usual: usual if now > usual else now / 10)


def _changed(
    config: TrainConfig, phase: Phase, change: Callable[[float, float], float]
) -> dict[str, str]:
    """Return flags with other weights of the penalty at a stage.

    Args:
      config: of the run.
      phase: of the stage.
      change: returns a weight, from the one in use and the default.
    """
    loss = config.loss
    if loss.loss == "wgan_gp":
        usual = LossConfig().gradient_penalty_weight
        return {"gradient_penalty_weight": f"{change(loss.gradient_penalty_weight, usual):.4g}"}
    if loss.loss not in _CHANCE:
        return {}
    usual_gammas = LossConfig(
        loss=loss.loss, gradient_penalty_resolution=loss.gradient_penalty_resolution
    )
    now, default = (_gammas(config, phase, of) for of in (loss, usual_gammas))
    tables = {"r1_gamma": loss.r1_gamma_by_resolution, "r2_gamma": loss.r2_gamma_by_resolution}
    flags = {}
    for name, weight in now.items():
        changed = change(weight, default[name])
        if tables[name]:
            table = sorted({**tables[name], phase.resolution: changed}.items())
            flags[f"{name}_by_resolution"] = ",".join(f"{key}:{value:.4g}" for key, value in table)
        else:
            flags[name] = f"{changed:.4g}"
    return flags


def _gammas(config: TrainConfig, phase: Phase, loss: LossConfig) -> dict[str, float]:
    """Return the weights of R1 and R2 at a stage by flag; of R2 none if it follows R1, or is 0."""
    filled = loss.with_gammas(
        phase.resolution,
        final_resolution=config.network.final_resolution,
        batch_size=phase.batch_size,
        base=config.network.base,
    )
    gammas = {"r1_gamma": filled.r1_gamma or 0.0}
    if config.loss.at_stage(phase.resolution).r2_gamma:
        gammas["r2_gamma"] = filled.r2_gamma or 0.0
    return gammas


PENALTY = Check("penalty", _look, patience=3)
