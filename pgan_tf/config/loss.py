"""The section about losses."""

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
    """The losses: an adversarial one, and AC-GAN's if there are labels.

    Raises:
      ValueError: a value is out of range, or has no effect with this loss.
    """

    loss: str = option(
        "wgan_gp",
        "The adversarial loss: wgan_gp, with drift (appendix A.1 of the paper); lsgan, least "
        "squares (appendix B); or logistic, non-saturating with an R1 penalty.",
        choices=LOSSES,
    )
    gradient_penalty_weight: float = option(
        10.0, "Weight (lambda) of the gradient penalty of wgan_gp; 0: no penalty."
    )
    gradient_penalty_target: float = option(
        1.0, "The gradient norm (gamma) that the penalty of wgan_gp aims at."
    )
    gradient_penalty_resolution: str = option(
        "final",
        "The resolution at which the norms of gradient penalties are taken: the final one, as the "
        "original does, or the stage's own.",
        choices=PENALTY_RESOLUTIONS,
    )
    drift_weight: float = option(
        0.001, "Weight of the squared scores of real images (drift) in wgan_gp."
    )
    r1_gamma: float = option(
        10.0,
        "Weight of R1, half the squared gradient norm at real images, with --loss=logistic; 0: no "
        "penalty.",
    )
    label_weight: float = option(
        1.0,
        "Weight of the label loss (AC-GAN) in the discriminator's loss, and in the generator's "
        "unless --generator_label_weight is given.",
    )
    generator_label_weight: float | None = option(
        None, "Weight of the label loss in the generator's loss. Default: that of --label_weight."
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
        """True if the discriminator's gradient by the image is part of its loss."""
        weights = {"wgan_gp": self.gradient_penalty_weight, "logistic": self.r1_gamma}
        return weights.get(self.loss, 0.0) > 0

    @property
    def resolved_generator_label_weight(self) -> float:
        """Weight of the generator's label loss."""
        weight = self.generator_label_weight
        return self.label_weight if weight is None else weight
