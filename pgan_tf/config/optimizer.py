"""The section about updates of both networks."""

import dataclasses
from collections.abc import Mapping

from pgan_tf.config.options import (
    distinct_numbers,
    option,
    require_at_least,
    require_choice,
    require_default,
    require_positive,
    require_resolutions,
)

# Relative standard deviation of an average; that of all weights alike is 1 / sqrt(12).
MAX_EMA_LENGTH = 0.28
EMA_UPDATES = ("discriminator_step", "generator_step", "off")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam for both networks, and the moving average of the generator (appendix A.1).

    Raises:
      ValueError: a value is out of range, or values contradict each other.
    """

    adam_beta1: float = option(0.0, "Decay of Adam's first moment per update.")
    adam_beta2: float = option(0.99, "Decay of Adam's second moment per update.")
    adam_beta2_by_resolution: Mapping[int, float] = option(
        {}, "Values of --adam_beta2 by resolution, such as 4:0.9,64:0.99. Default: it for all."
    )
    adam_epsilon: float = option(
        1e-8, "Adam's epsilon, which is added to the root of the second moment."
    )
    reset_optimizer: bool = option(
        True, "Clear Adam's moments and step count when a fade begins and when it ends."
    )
    discriminator_steps: int = option(1, "Number of discriminator steps to each generator step.")
    simultaneous_updates: bool = option(
        False,
        "Take both networks' gradients from one pass, before either network is updated; off: "
        "update the discriminator first, then the generator with other latents.",
    )
    freeze_discriminator: int = option(
        0,
        "Number of highest resolutions of which the discriminator's layers stay those of "
        "--init_from: the layers nearest the image (Mo et al. 2020).",
    )
    ema_decay: float = option(0.999, "Decay of the generator's moving average (EMA) per update.")
    ema_half_life_kimg: float | None = option(
        None,
        "Half-life of the generator's moving average in thousands of images, whatever the batch "
        "size. Replaces --ema_decay.",
    )
    ema_rampup: float = option(
        0.0,
        "Most of the half-life of the generator's moving average, as a fraction of the images "
        "shown so far, so that it forgets the first weights soon; 0: no limit.",
    )
    ema_lengths: str = option(
        "",
        "Lengths of further averages of the generator, as fractions of the images shown so far, "
        "separated by commas, such as 0.05,0.1. They are saved beside each generator, and "
        "--ema_length of other commands makes averages of other lengths from them. Default: none.",
    )
    ema_update: str = option(
        "discriminator_step",
        "The step after which the generator's moving average is updated: discriminator_step (the "
        "original's TensorFlow version) or generator_step (its Theano version); off: there is no "
        "average, and the generator itself is sampled and saved.",
        choices=EMA_UPDATES,
    )

    def __post_init__(self) -> None:
        require_resolutions("adam_beta2_by_resolution", self.adam_beta2_by_resolution)
        decays = {name: getattr(self, name) for name in ("adam_beta1", "adam_beta2", "ema_decay")}
        for resolution, beta2 in self.adam_beta2_by_resolution.items():
            decays[f"adam_beta2_by_resolution at {resolution}"] = beta2
        for name, value in decays.items():
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} must be from 0 up to, not including, 1. Received: {value}"
                )
        require_positive("adam_epsilon", self.adam_epsilon)
        require_at_least("discriminator_steps", self.discriminator_steps, 1)
        require_at_least("freeze_discriminator", self.freeze_discriminator, 0)
        if self.simultaneous_updates and self.discriminator_steps > 1:
            raise ValueError(
                "discriminator_steps must be 1 with --simultaneous_updates, which update both "
                f"networks in every step. Received: {self.discriminator_steps}"
            )
        require_choice("ema_update", self.ema_update, EMA_UPDATES)
        if self.ema_half_life_kimg is not None:
            require_positive("ema_half_life_kimg", self.ema_half_life_kimg)
            require_default(self, "ema_decay", "with --ema_half_life_kimg")
        require_at_least("ema_rampup", self.ema_rampup, 0)
        distinct_numbers("ema_lengths", self.ema_lengths, most=MAX_EMA_LENGTH)
        if self.ema_update == "off":
            for name in ("ema_decay", "ema_half_life_kimg", "ema_rampup"):
                require_default(self, name, "with --ema_update=off")

    @property
    def power_lengths(self) -> tuple[float, ...]:
        """The lengths of further averages; empty for none."""
        return distinct_numbers("ema_lengths", self.ema_lengths, most=MAX_EMA_LENGTH)

    @property
    def mixes_beta2(self) -> bool:
        """True if second moments may have been updated with several values of beta2."""
        return bool(self.adam_beta2_by_resolution) and not self.reset_optimizer

    def at_stage(self, resolution: int) -> "OptimizerConfig":
        """Return the settings of a stage, with its entry of the table in place of the table."""
        beta2 = self.adam_beta2_by_resolution.get(resolution, self.adam_beta2)
        return dataclasses.replace(self, adam_beta2=beta2, adam_beta2_by_resolution={})

    def ema_decay_at(self, batch_size: int) -> float:
        """Return the decay of one update of the moving average; 0 if there is no average.

        Less while the average ramps up (`ema_rampup`).

        Args:
          batch_size: global batch of a discriminator step, in images.
        """
        if self.ema_update == "off":
            return 0.0
        if self.ema_half_life_kimg is None:
            return self.ema_decay
        return 0.5 ** (self.images_per_average(batch_size) / (1000 * self.ema_half_life_kimg))

    def images_per_average(self, batch_size: int) -> int:
        """Return the number of images shown from one update of the moving average to the next.

        Args:
          batch_size: global batch of a discriminator step, in images.
        """
        steps = self.discriminator_steps if self.ema_update == "generator_step" else 1
        return steps * batch_size
