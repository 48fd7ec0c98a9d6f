"""Multiplications of a stage, counted from the layer table, and step times computed from them.

Used to extrapolate the speed of one stage to the others. Standard library only.
"""

import math

from pgan_tf.config import LossConfig, NetworkConfig, OptimizerConfig, TrainConfig
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.networks.layer_table import (
    LayerSpec,
    discriminator_layers,
    generator_layers,
    layers_at,
)

# Seconds that starting the two to three thousand operations of a step takes, whatever their size.
TYPICAL_OVERHEAD = 0.015


def step_multiplications(config: TrainConfig, resolution: int, *, fading: bool) -> float:
    """Return the multiply-adds of a training step for one image, averaged over its kinds.

    Args:
      config: the run's.
      resolution: of the stage.
      fading: whether the stage fades in.
    """
    stage = config.at_stage(resolution)
    work = training_passes(stage.loss, stage.optimizer) * multiplications(
        config.network, resolution, fading=fading
    )
    if config.optimizer.freeze_discriminator:
        frozen = [
            layer
            for layer in layers_at(discriminator_layers(config.network), resolution, fading=fading)
            if layer.resolution > config.highest_in_discriminator
        ]
        work -= _frozen_passes(stage.loss) * sum(map(_multiplications, frozen))
    return work


def _frozen_passes(loss: LossConfig) -> float:
    """Return the passes of a step that layers are spared whose weights are not trained.

    They are the first: nothing goes back through them but to images. Of reals and fakes that is
    nothing; of a penalty one pass to its images, and one through that.
    """
    return 4 + 3 * loss.gradient_penalties / loss.penalty_interval


def training_passes(loss: LossConfig, optimizer: OptimizerConfig) -> float:
    """Return the cost of a discriminator step and its share of a generator step.

    Returns:
      Multiply-adds in units of a forward pass of both networks, which cost about the same. With the
      defaults, 9: 14 passes of the discriminator and 4 of the generator.
    """
    # One pass forward for reals and for fakes, and two back for each.
    discriminator_step = 6.0
    # One forward for the images of a penalty, one back to them, and two back for each.
    discriminator_step += 6 * loss.gradient_penalties / loss.penalty_interval
    if loss.is_lazy and loss.has_r2:
        # The generator: one for the fakes of a penalty by itself.
        discriminator_step += 1 / loss.penalty_interval
    if optimizer.simultaneous_updates:
        # One forward and two back through the generator; one back to reals and to fakes.
        return (discriminator_step + 3 + 2) / 2
    # The generator: one for the fakes, and three in its own step; the discriminator: two there, and
    # one for reals that fakes are compared with.
    generator_step = 6 if loss.loss == "rpgan" else 5
    return (discriminator_step + 1 + generator_step / optimizer.discriminator_steps) / 2


def multiplications(config: NetworkConfig, resolution: int, *, fading: bool) -> int:
    """Return the multiply-adds of one forward pass of both networks for one image.

    Convolutions are counted as sums over their kernels, whatever computes them; those that resample
    as if they were fused, with 4x4 kernels at the lower resolution.

    Args:
      config: the networks.
      resolution: of the stage.
      fading: whether the stage fades in, so that the lower resolution's RGB layers take part.
    """
    return sum(
        _multiplications(layer)
        for layers in (generator_layers(config), discriminator_layers(config))
        for layer in layers_at(layers, resolution, fading=fading)
    )


def count_layers(config: NetworkConfig, resolution: int, *, fading: bool) -> int:
    """Return the number of layers with weights that both networks have at a stage."""
    return sum(
        len(layers_at(layers, resolution, fading=fading))
        for layers in (generator_layers(config), discriminator_layers(config))
    )


def _multiplications(layer: LayerSpec) -> int:
    if not layer.is_convolution:
        return math.prod(layer.kernel_shape)
    if layer.resample is not None:
        inputs, filters = layer.kernel_shape[-2:]
        return math.prod(layer.base.size_at(layer.resolution // 2)) * 4**2 * inputs * filters
    return math.prod(layer.base.size_at(layer.resolution)) * math.prod(layer.kernel_shape)


class StepTimes:
    """Seconds of a step in each phase: as measured, or else overhead + multiplications / rate.

    Time does not grow in proportion to the multiplications: small stages are bound by the overhead
    of starting operations.

    Args:
      config: the run's.
    """

    def __init__(self, config: TrainConfig):
        self._config = config
        self._measured: dict[float, float] = {}  # seconds of a step by its multiplications

    def add(self, phase: Phase, seconds_per_image: float) -> None:
        """Record the speed measured in a phase, in place of an earlier one."""
        self._measured[self._work(phase)] = seconds_per_image * phase.batch_size

    def seconds(self, phase: Phase) -> float:
        """Return the seconds of a step in a phase; at least one phase must have been measured."""
        work = self._work(phase)
        if work in self._measured:
            return self._measured[work]
        (least, _), (most, longest) = min(self._measured.items()), max(self._measured.items())
        shortest = self._measured[least]
        if most > least and longest > shortest:
            per_work = (longest - shortest) / (most - least)
        else:
            # Of a single measurement, all but the usual overhead, and at least a tenth.
            per_work = max(longest - TYPICAL_OVERHEAD, 0.1 * longest) / most
        return max(longest + (work - most) * per_work, min(shortest, TYPICAL_OVERHEAD))

    def remaining(self, schedule: Schedule, images_seen: int) -> float | None:
        """Return the seconds from `images_seen` to the end of a schedule; None: nothing known."""
        if not self._measured:
            return None
        return sum(
            self.seconds(phase)
            * max(0, phase.end - max(phase.start, images_seen))
            / phase.batch_size
            for phase in schedule.phases
        )

    def _work(self, phase: Phase) -> float:
        per_image = step_multiplications(self._config, phase.resolution, fading=phase.fading)
        return per_image * phase.batch_size
