"""Descriptions of settings that change from stage to stage, for people."""

import itertools
from collections.abc import Mapping

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Schedule
from tfrecords_tools.shape import Base

_RULE = " by rule, 0.0002 * pixels / batch size"


def describe_by_stage(config: TrainConfig, schedule: Schedule) -> list[str]:
    """Return a line for each weight or rate that stages have values of their own of.

    Learning rates are left out, which tables of phases list.

    Args:
      config: of the run.
      schedule: the run's.
    """
    lines, loss, base = [], config.loss, config.network.base
    batch_sizes = {phase.resolution: phase.batch_size for phase in schedule.phases}
    gammas = {
        resolution: loss.with_gammas(
            resolution,
            final_resolution=config.network.final_resolution,
            batch_size=batch_size,
            base=config.network.base,
        )
        for resolution, batch_size in batch_sizes.items()
    }
    if loss.has_gamma_by_rule or loss.r1_gamma_by_resolution:
        name = "--r1_gamma" if loss.r1_gamma_by_resolution else f"--r1_gamma{_RULE}"
        lines.append(_line(name, {r: of_stage.r1_gamma for r, of_stage in gammas.items()}, base))
    if loss.r2_gamma_by_resolution:
        values = {side: of_stage.r2_gamma for side, of_stage in gammas.items()}
        lines.append(_line("--r2_gamma", values, base))
    if config.optimizer.adam_beta2_by_resolution:
        values = {side: config.optimizer.at_stage(side).adam_beta2 for side in gammas}
        lines.append(_line("--adam_beta2", values, base))
    return lines


def _line(name: str, by_stage: Mapping[int, float | None], base: Base) -> str:
    groups = []
    for value, stages in itertools.groupby(by_stage, key=by_stage.__getitem__):
        first, *others = map(base.text_at, stages)
        groups.append(f"{value:g} at {' to '.join([first, *others[-1:]])}")
    return f"{name}: {', '.join(groups)}"
