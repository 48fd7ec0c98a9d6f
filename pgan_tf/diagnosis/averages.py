"""The moving average: one that lags behind the generator that it averages."""

import statistics
from collections.abc import Sequence

from pgan_tf.config import OptimizerConfig
from pgan_tf.config.phases import Phase
from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import Tick, newest
from pgan_tf.diagnosis.measurements import AVERAGE_DISTANCE, DISTANCE

# Distance from reals of the average's images, in that of the generator's own. An average usually
# has less, 0.3 to 0.8, once the first quarter of a phase has passed.
_BEHIND = 2.0
_MEASUREMENTS = 3
# Until then, the average may still hold weights from before the phase.
_SETTLED = 0.5
# Half-life of the average that is recommended, in that of the phase so far.
_HALF_LIFE = 0.05


def _look(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    own = newest(ticks, DISTANCE, _MEASUREMENTS)
    averages = newest(ticks, AVERAGE_DISTANCE, _MEASUREMENTS)
    optimizer = subject.config.optimizer
    if own is None or averages is None or optimizer.ema_update == "off":
        return Verdict.UNKNOWN
    if ticks[-1].fraction < _SETTLED:
        return Verdict.UNKNOWN
    ratio = statistics.mean(averages) / max(statistics.mean(own), 1e-9)
    if ratio < _BEHIND:
        return Verdict.HEALTHY
    seen = (
        f"images of the moving average are {ratio:.1f} times as far from reals as the generator's"
    )
    flags = _shorter(optimizer, ticks[-1].phase)
    return Sign(seen, "a shorter moving average would help", flags)


def _shorter(optimizer: OptimizerConfig, phase: Phase) -> dict[str, str]:
    half_life = _HALF_LIFE * (phase.end - phase.start) / 1000
    if optimizer.ema_half_life_kimg is not None:
        shorter = min(half_life, optimizer.ema_half_life_kimg / 4)
        return {"ema_half_life_kimg": f"{shorter:.3g}"}
    return {"ema_half_life_kimg": f"{half_life:.3g}", "ema_decay": f"{OptimizerConfig().ema_decay}"}


AVERAGE_LAGS = Check("average_lags", _look, patience=2)
