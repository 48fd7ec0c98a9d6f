"""Time that augmentation takes on CPUs, for plans. Standard library only."""

import math

from pgan_tf.config import AugmentConfig, LossConfig, OptimizerConfig, TrainConfig

# Of one core, for a pixel of three channels and one pass through an operation: a third of what it
# took forward, back, and through the way back, of 16 images of 32x32 (AVX-512, TensorFlow 2.21).
_MICROSECONDS = {
    "b": 0.05,
    "g": 0.45,
    "c": 0.11,
    "f": 0.65,
    "n": 0.03,
    "o": 0.04,
    "color": 0.045,
    "translation": 0.045,
    "cutout": 0.04,
}


def core_seconds(config: TrainConfig, resolution: int) -> float:
    """Return the seconds of one core that augmentation takes of a training step, for one image.

    Args:
      config: of the stage (`TrainConfig.at_stage`).
      resolution: of the stage, whose smallest leave some operations out, which is not counted.
    """
    pixels = math.prod(config.network.image_size(resolution))
    each = sum(_MICROSECONDS[name] for name in _operations(config.augment))
    return 1e-6 * each * _passes(config.loss, config.optimizer) * pixels


def _operations(config: AugmentConfig) -> tuple[str, ...]:
    if config.augment == "none":
        return ()
    return config.policy_names if config.augment == "diffaugment" else tuple(config.augment_pipe)


def _passes(loss: LossConfig, optimizer: OptimizerConfig) -> float:
    """Return the passes of a step through T for one real image, averaged over its kinds."""
    # Reals and fakes; a penalty's images, back to them, and through the way back.
    passes = 2 + 3 * loss.gradient_penalties / loss.penalty_interval
    if optimizer.simultaneous_updates:
        return passes + 1  # back to the fakes
    # The generator's fakes and back to them, and the reals that they are compared with.
    return passes + (3 if loss.loss == "rpgan" else 2) / optimizer.discriminator_steps
