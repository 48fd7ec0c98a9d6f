"""What a stage costs: multiplications, counted from the convolutions and dense layers.

Used to extrapolate the speed of one stage to the others. Plain Python.
"""

from pgan_tf.config import LossConfig, NetworkConfig, OptimizerConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.config.phases import Phase, Schedule

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

    The convolutions are counted as sums over their kernels, however they are computed; those that
    resample as they are fused: 4x4 kernels at the lower resolution.

    Args:
      config: the networks.
      resolution: the stage's.
      fading: whether the lower resolution's RGB layers take part.
    """
    rgb = [resolution, resolution // 2] if fading else [resolution]
    generator = _generator(config, resolution)
    generator += sum(
        r * r * config.to_rgb_kernel_size**2 * config.generator_features(r) * config.channels
        for r in rgb
    )
    discriminator = _discriminator(config, resolution)
    discriminator += sum(
        r * r * config.channels * config.discriminator_features(r)
        for r in rgb
        if r in config.from_rgb_resolutions
    )
    return generator + discriminator


def _generator(config: NetworkConfig, resolution: int) -> float:
    """All but the layers to RGB."""
    second = config.convs_per_resolution == 2
    features = config.generator_features(MIN_RESOLUTION)
    total = float((config.resolved_latent_size + config.label_size) * features * 16)
    total += second * 16 * 9 * features**2
    for side in (s for s in config.resolutions[1:] if s <= resolution):
        lower, upper = (config.generator_features(s) for s in (side // 2, side))
        total += (side / 2) ** 2 * 16 * lower * upper  # the convolution that upscales
        total += second * side**2 * 9 * upper**2
    return total


def _discriminator(config: NetworkConfig, resolution: int) -> float:
    """All but the layers from RGB."""
    second = config.convs_per_resolution == 2
    features, total = config.discriminator_features(MIN_RESOLUTION), 0.0
    for side in (s for s in config.resolutions[1:] if s <= resolution):
        lower, upper = (config.discriminator_features(s) for s in (side // 2, side))
        inputs = upper if side in config.from_rgb_resolutions else config.channels
        total += (side / 2) ** 2 * 16 * inputs * lower  # the convolution that downscales
        total += second * side**2 * 9 * upper**2
    judged, appended = config.judged_features, config.discrimination_features
    total += second * 16 * features * (9 * (features + config.stddev_features) + judged)
    total += judged * appended * config.discrimination_dims
    return total + (judged + appended) * (1 + config.label_size)


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
