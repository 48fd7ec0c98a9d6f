"""How both networks learn."""

import dataclasses

from pgan_tf.config.options import (
    option,
    require_at_least,
    require_choice,
    require_default,
    require_positive,
)

EMA_UPDATES = ("discriminator_step", "generator_step", "off")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam for both networks, and the moving average of the generator (appendix A.1).

    Raises:
      ValueError: a value is out of its range, or values contradict each other.
    """

    adam_beta1: float = option(0.0, "Adam's decay of the first moment.")
    adam_beta2: float = option(0.99, "Adam's decay of the second moment.")
    adam_epsilon: float = option(1e-8, "Adam's epsilon.")
    reset_optimizer: bool = option(
        True, "Clear Adam's moments and step count when a fade begins and when it ends."
    )
    discriminator_steps: int = option(1, "Discriminator steps to each generator step.")
    simultaneous_updates: bool = option(
        False,
        "Take both networks' gradients from one and the same pass, before either is updated; off: "
        "first the discriminator's, then the generator's with other latents.",
    )
    ema_decay: float = option(0.999, "Decay per update of the generator's moving average.")
    ema_half_life_kimg: float | None = option(
        None, "Its half-life in thousands of images instead, whatever the batch."
    )
    ema_update: str = option(
        "discriminator_step",
        "When it is updated: after each discriminator step (the TensorFlow version), after each "
        "generator step (the Theano version), or off: the generator itself is sampled.",
        choices=EMA_UPDATES,
    )

    def __post_init__(self) -> None:
        for name in ("adam_beta1", "adam_beta2", "ema_decay"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} must be from 0 up to, not including, 1. Received: {value}"
                )
        require_positive("adam_epsilon", self.adam_epsilon)
        require_at_least("discriminator_steps", self.discriminator_steps, 1)
        if self.simultaneous_updates and self.discriminator_steps > 1:
            raise ValueError(
                "discriminator_steps must be 1 with --simultaneous_updates, which update both "
                f"networks in every step. Received: {self.discriminator_steps}"
            )
        require_choice("ema_update", self.ema_update, EMA_UPDATES)
        if self.ema_half_life_kimg is not None:
            require_positive("ema_half_life_kimg", self.ema_half_life_kimg)
            require_default(self, "ema_decay", "with --ema_half_life_kimg")
        if self.ema_update == "off":
            for name in ("ema_decay", "ema_half_life_kimg"):
                require_default(self, name, "with --ema_update=off")

    def trains_generator(self, number: int) -> bool:
        """Whether the `number`-th step of a phase, counted from 0, trains the generator too.

        It is the last of each `discriminator_steps`; those that a phase leaves over train none.
        """
        return (number + 1) % self.discriminator_steps == 0

    def ema_decay_at(self, batch_size: int) -> float:
        """Decay of one update of the moving average; 0 where it is the generator itself.

        Args:
          batch_size: of a discriminator step, in images over all devices.
        """
        if self.ema_update == "off":
            return 0.0
        if self.ema_half_life_kimg is None:
            return self.ema_decay
        steps = self.discriminator_steps if self.ema_update == "generator_step" else 1
        return 0.5 ** (steps * batch_size / (1000 * self.ema_half_life_kimg))
