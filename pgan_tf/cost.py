"""What a stage costs: multiplications, counted from the convolutions and dense layers.

Used to extrapolate the speed of one stage to the others. Plain Python.
"""

from pgan_tf.config import MIN_RESOLUTION, NetworkConfig, log2
from pgan_tf.schedule import Phase, Schedule


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
    total += base * 16 * config.features(0) + config.features(0) * (1 + config.label_size)
    total += (
        16 * 9 * base * (base + base + 1)
    )  # at 4x4; the discriminator's sees the stddev channel
    for log in range(log2(MIN_RESOLUTION) + 1, log2(resolution) + 1):
        lower, upper = config.features(log - 2), config.features(log - 1)
        pixels = 4.0**log
        total += 2 * pixels * 9 * upper * upper  # the convolution that keeps the resolution
        total += 2 * pixels / 4 * 16 * lower * upper  # the one that changes it
    rgb = [resolution, resolution // 2] if fading else [resolution]
    return total + sum(2 * r * r * config.features(log2(r) - 1) * config.channels for r in rgb)


def remaining_seconds(
    schedule: Schedule,
    config: NetworkConfig,
    *,
    images_seen: int,
    phase: Phase,
    seconds_per_image: float,
) -> float:
    """How long training still takes, from the speed measured in one phase.

    Args:
      schedule: of the run.
      config: the networks.
      images_seen: where training is.
      phase: where the speed was measured.
      seconds_per_image: measured there.
    """
    measured = multiplications(config, phase.resolution, fading=phase.fading)
    seconds = 0.0
    for coming in schedule.phases:
        images = coming.end - max(coming.start, images_seen)
        if images > 0:
            cost = multiplications(config, coming.resolution, fading=coming.fading)
            seconds += images * seconds_per_image * cost / measured
    return seconds
