"""What the networks minimise."""

import dataclasses

from pgan_tf.config.options import (
    option,
    require_at_least,
    require_choice,
    require_default,
    require_positive,
)

LOSSES = ("wgan_gp", "lsgan", "logistic")
PENALTY_RESOLUTIONS = ("final", "stage")


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What the networks minimise: an adversarial loss, and AC-GAN's where there are labels.

    Raises:
      ValueError: a value is out of its range, or has no effect with this loss.
    """

    loss: str = option(
        "wgan_gp",
        "The adversarial loss: WGAN-GP with drift (appendix A.1), least squares (appendix B), or "
        "non-saturating logistic with R1.",
        choices=LOSSES,
    )
    gradient_penalty_weight: float = option(10.0, "Lambda of WGAN-GP's gradient penalty.")
    gradient_penalty_target: float = option(1.0, "Gamma: the gradient norm aimed at.")
    gradient_penalty_resolution: str = option(
        "final",
        "Where gradient norms are taken: at the final resolution, as the original does, or at the "
        "stage's own.",
        choices=PENALTY_RESOLUTIONS,
    )
    drift_weight: float = option(0.001, "Weight of the squared scores of reals in WGAN-GP.")
    r1_gamma: float = option(
        10.0, "Weight of half the squared gradient norm of reals, with logistic; 0: no penalty."
    )
    label_weight: float = option(
        1.0, "Weight of the AC-GAN label loss in the discriminator, and in the generator too."
    )
    generator_label_weight: float | None = option(
        None, "Its weight in the generator, where that is another. Default: label_weight."
    )

    def __post_init__(self) -> None:
        for name in ("gradient_penalty_weight", "drift_weight", "r1_gamma", "label_weight"):
            require_at_least(name, getattr(self, name), 0)
        if self.generator_label_weight is not None:
            require_at_least("generator_label_weight", self.generator_label_weight, 0)
        require_positive("gradient_penalty_target", self.gradient_penalty_target)
        require_choice("loss", self.loss, LOSSES)
        require_choice(
            "gradient_penalty_resolution", self.gradient_penalty_resolution, PENALTY_RESOLUTIONS
        )
        reason = f"with --loss={self.loss}"
        if self.loss != "wgan_gp":
            for name in ("gradient_penalty_weight", "gradient_penalty_target", "drift_weight"):
                require_default(self, name, reason)
        if self.loss != "logistic":
            require_default(self, "r1_gamma", reason)
        if not self.has_gradient_penalty:
            for name in ("gradient_penalty_target", "gradient_penalty_resolution"):
                require_default(self, name, "without a gradient penalty")

    @property
    def has_gradient_penalty(self) -> bool:
        """Whether the discriminator's gradient by the image is part of its loss."""
        weights = {"wgan_gp": self.gradient_penalty_weight, "logistic": self.r1_gamma}
        return weights.get(self.loss, 0.0) > 0

    @property
    def resolved_generator_label_weight(self) -> float:
        """Weight of the generator's label loss."""
        weight = self.generator_label_weight
        return self.label_weight if weight is None else weight
