"""What a stage costs: multiplications, counted from the convolutions and dense layers.

Used to extrapolate the speed of one stage to the others. Plain Python.
"""

from pgan_tf.config import LossConfig, NetworkConfig, OptimizerConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2
from pgan_tf.schedule import Phase, Schedule

# Seconds that starting a step's two to three thousand operations takes, whatever their size.
TYPICAL_OVERHEAD = 0.015


def training_passes(loss: LossConfig, optimizer: OptimizerConfig) -> float:
    """Multiply-adds of a discriminator step and its part of a generator step.

    Returns:
      In forward passes of both networks, which cost about the same. With the defaults, 9: 14 of the
      discriminator and 4 of the generator.
    """
    # Forward for reals and fakes, and two back through each.
    discriminator_step = 6
    if loss.has_gradient_penalty:
        # Forward for the images that it is taken at, one back to them, two back through each.
        discriminator_step += 6
    if optimizer.simultaneous_updates:
        # Forward and two back through the generator; one back through reals and fakes to these.
        return (discriminator_step + 3 + 2) / 2
    # One of the generator to show fakes; its own step takes three, and two of the discriminator.
    return (discriminator_step + 1 + 5 / optimizer.discriminator_steps) / 2


def multiplications(config: NetworkConfig, resolution: int, *, fading: bool) -> float:
    """Multiply-adds of one forward pass of the generator and the discriminator for one image.

    The resampling convolutions are counted as they are computed when fused: 4x4 kernels at the
    lower resolution.

    Args:
      config: the networks.
      resolution: the stage's.
      fading: whether the lower resolution's RGB layers take part.
    """
    base = config.features(1)
    total = float((config.resolved_latent_size + config.label_size) * base * 16)
    top, appended = config.features(0), config.discrimination_features
    total += base * 16 * top + (top + appended) * (1 + config.label_size)
    total += top * appended * config.discrimination_dims
    total += 16 * 9 * base * (base + base + config.stddev_features)  # at 4x4, of both networks
    for log in range(log2(MIN_RESOLUTION) + 1, log2(resolution) + 1):
        lower, upper = config.features(log - 2), config.features(log - 1)
        pixels = 4.0**log
        total += 2 * pixels * 9 * upper * upper  # the convolution that keeps the resolution
        total += 2 * pixels / 4 * 16 * lower * upper  # the one that changes it
    rgb = [resolution, resolution // 2] if fading else [resolution]
    return total + sum(2 * r * r * config.features(log2(r) - 1) * config.channels for r in rgb)


class StepTimes:
    """Seconds a step takes in each phase: as measured, or else overhead + multiplications / rate.

    Small stages are bound by the overhead of starting their operations, which large ones hardly
    notice; so time does not grow in proportion to the multiplications.
    """

    def __init__(self, config: NetworkConfig):
        """
        Args:
          config: the networks.
        """
        self._config = config
        self._measured: dict[float, float] = {}  # seconds of a step by its multiplications

    def add(self, phase: Phase, seconds_per_image: float) -> None:
        """Notes the speed measured in a phase; the last one counts."""
        self._measured[self._work(phase)] = seconds_per_image * phase.batch_size

    def seconds(self, phase: Phase) -> float:
        """Seconds of a step in a phase, after at least one was measured."""
        work = self._work(phase)
        if work in self._measured:
            return self._measured[work]
        (least, _), (most, longest) = min(self._measured.items()), max(self._measured.items())
        shortest = self._measured[least]
        if most > least and longest > shortest:
            per_work = (longest - shortest) / (most - least)
        else:
            # Of one measurement, what is not the usual overhead, and something in any case.
            per_work = max(longest - TYPICAL_OVERHEAD, 0.1 * longest) / most
        return max(longest + (work - most) * per_work, min(shortest, TYPICAL_OVERHEAD))

    def remaining(self, schedule: Schedule, images_seen: int) -> float:
        """Seconds until the end of a schedule from `images_seen` on."""
        return sum(
            self.seconds(phase)
            * max(0, phase.end - max(phase.start, images_seen))
            / phase.batch_size
            for phase in schedule.phases
        )

    def _work(self, phase: Phase) -> float:
        per_image = multiplications(self._config, phase.resolution, fading=phase.fading)
        return per_image * phase.batch_size
