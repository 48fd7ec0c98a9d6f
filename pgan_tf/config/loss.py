"""The section about losses."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pgan_tf.config.options import (
    option,
    require_at_least,
    require_choice,
    require_default,
    require_positive,
    require_resolutions,
)
from tfrecords_tools.shape import SQUARE, Base

LOSSES = ("wgan_gp", "lsgan", "logistic", "rpgan")
PENALTY_RESOLUTIONS = ("final", "stage")

# The losses with R1 and R2.
_ZERO_CENTERED = ("logistic", "rpgan")
_TABLES = ("r1_gamma_by_resolution", "r2_gamma_by_resolution")
_LOGISTIC_R1_GAMMA = 10.0
# Gamma a pixel and image of the batch, in StyleGAN2-ADA's training code (Karras et al. 2020,
# "Training generative adversarial networks with limited data").
_GAMMA_PER_PIXEL = 0.0002


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The losses: an adversarial one, and AC-GAN's if there are labels.

    Raises:
      ValueError: a value is out of range, or has no effect with this loss.
    """

    loss: str = option(
        "wgan_gp",
        "The adversarial loss: wgan_gp, with drift (appendix A.1 of the paper); lsgan, least "
        "squares (appendix B); logistic, non-saturating with an R1 penalty; or rpgan, relativistic "
        "pairs of reals and fakes with R1 and R2 penalties.",
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
    r1_gamma: float | None = option(
        None,
        "Weight of R1, half the squared gradient norm at real images, with --loss=logistic or "
        "rpgan; 0: no penalty. Default: 10 with logistic; with rpgan 0.0002 * pixels / batch size.",
    )
    r2_gamma: float | None = option(
        None,
        "Weight of R2, half the squared gradient norm at fakes, with --loss=logistic or rpgan; 0: "
        "no penalty. Default: 0 with logistic; with rpgan that of R1.",
    )
    r1_gamma_by_resolution: Mapping[int, float] = option(
        {}, "Weights of R1 by resolution, such as 4:0.01,64:0.1. Default: that of --r1_gamma."
    )
    r2_gamma_by_resolution: Mapping[int, float] = option(
        {}, "Weights of R2 by resolution, such as 4:0.01,64:0.1. Default: that of --r2_gamma."
    )
    penalty_interval: int = option(
        1,
        "Number of steps of which only the first takes R1 and R2, with as many times their weight, "
        "in an update of its own, for which Adam's rate and betas are adjusted.",
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
        for name in ("gradient_penalty_weight", "drift_weight", "label_weight"):
            require_at_least(name, getattr(self, name), 0)
        for name in ("r1_gamma", "r2_gamma", "generator_label_weight"):
            if getattr(self, name) is not None:
                require_at_least(name, getattr(self, name), 0)
        for name in _TABLES:
            require_resolutions(name, getattr(self, name))
            for resolution, gamma in getattr(self, name).items():
                require_at_least(f"{name} at {resolution}", gamma, 0)
        require_positive("gradient_penalty_target", self.gradient_penalty_target)
        require_choice("loss", self.loss, LOSSES)
        require_choice(
            "gradient_penalty_resolution", self.gradient_penalty_resolution, PENALTY_RESOLUTIONS
        )
        reason = f"with --loss={self.loss}"
        if self.loss != "wgan_gp":
            for name in ("gradient_penalty_weight", "gradient_penalty_target", "drift_weight"):
                require_default(self, name, reason)
        if self.loss not in _ZERO_CENTERED:
            if self.r1_gamma == _LOGISTIC_R1_GAMMA:
                # The default of version 0.1, which is in the `config.flags` of all of its runs.
                object.__setattr__(self, "r1_gamma", None)
            for name in ("r1_gamma", "r2_gamma", *_TABLES):
                require_default(self, name, reason)
        require_at_least("penalty_interval", self.penalty_interval, 1)
        if self.loss == "wgan_gp" and self.penalty_interval > 1:
            raise ValueError(
                "penalty_interval must be 1 with --loss=wgan_gp, whose penalty is part of the "
                f"loss. Received: {self.penalty_interval}"
            )
        if not self.has_gradient_penalty:
            for name in (
                "gradient_penalty_target",
                "gradient_penalty_resolution",
                "penalty_interval",
            ):
                require_default(self, name, "without a gradient penalty")

    @property
    def has_gradient_penalty(self) -> bool:
        """True if the discriminator's gradient by the image is part of its loss."""
        return self.gradient_penalties > 0

    @property
    def gradient_penalties(self) -> int:
        """The number of points that the gradient is penalized at for each real image."""
        if self.loss == "wgan_gp":
            return int(self.gradient_penalty_weight > 0)
        return self.has_r1 + self.has_r2

    @property
    def has_r1(self) -> bool:
        """True if the gradient at reals is penalized for any length, at some stage."""
        return self.loss in _ZERO_CENTERED and (
            self.r1_gamma != 0 or any(self.r1_gamma_by_resolution.values())
        )

    @property
    def has_r2(self) -> bool:
        """True if the gradient at fakes is penalized for any length, at some stage."""
        if any(self.r2_gamma_by_resolution.values()):
            return True
        if self.r2_gamma is None:
            return self.loss == "rpgan" and self.has_r1
        return self.loss in _ZERO_CENTERED and self.r2_gamma != 0

    @property
    def is_lazy(self) -> bool:
        """True if penalties are updates of their own, after some of the discriminator's steps."""
        return self.penalty_interval > 1

    @property
    def lazy_correction(self) -> float:
        """Factor on the discriminator's learning rate, and exponent of its betas.

        It makes up for the N + 1 updates of N steps: N / (N + 1) (lazy regularization; Karras et
        al. 2020, "Analyzing and improving the image quality of StyleGAN", appendix B).
        """
        return self.penalty_interval / (self.penalty_interval + 1) if self.is_lazy else 1.0

    @property
    def has_signs(self) -> bool:
        """True if the sign of what the discriminator's loss is of tells reals from fakes."""
        return self.loss in ("logistic", "rpgan")

    @property
    def has_gamma_by_rule(self) -> bool:
        """True if `with_gammas` chooses the weight of R1 where its table has none."""
        return self.loss == "rpgan" and self.r1_gamma is None

    def at_stage(self, resolution: int) -> "LossConfig":
        """Return the losses of a stage, with its entries of tables in place of the tables."""
        stage: dict[str, Any] = {
            "r1_gamma": self.r1_gamma_by_resolution.get(resolution, self.r1_gamma),
            "r2_gamma": self.r2_gamma_by_resolution.get(resolution, self.r2_gamma),
            "r1_gamma_by_resolution": {},
            "r2_gamma_by_resolution": {},
        }
        if stage["r1_gamma"] == 0 and not stage["r2_gamma"]:
            # Options of penalties that only other stages have.
            stage |= {"penalty_interval": 1, "gradient_penalty_resolution": "final"}
        return dataclasses.replace(self, **stage)

    def with_gammas(
        self, resolution: int, *, final_resolution: int, batch_size: int, base: Base = SQUARE
    ) -> "LossConfig":
        """Return the losses of a stage, with the weights of R1 and R2 filled in.

        The rule counts pixels where norms are taken. So with `gradient_penalty_resolution` at
        either value the penalty is the same: that of the stage's own pixels and norms.

        Args:
          resolution: of the stage.
          final_resolution: of the networks.
          batch_size: global batch of the stage, in images.
          base: height and width of images at resolution 4.
        """
        if self.loss not in _ZERO_CENTERED:
            return self
        stage = self.at_stage(resolution)
        r1, r2 = stage.r1_gamma, stage.r2_gamma
        if stage.has_gamma_by_rule:
            own_norms = self.gradient_penalty_resolution == "stage"
            pixels = math.prod(base.size_at(resolution if own_norms else final_resolution))
            r1 = _GAMMA_PER_PIXEL * pixels / batch_size
        elif r1 is None:
            r1 = _LOGISTIC_R1_GAMMA
        if r2 is None:
            r2 = r1 if self.loss == "rpgan" else 0.0
        return dataclasses.replace(stage, r1_gamma=r1, r2_gamma=r2)

    @property
    def resolved_generator_label_weight(self) -> float:
        """Weight of the generator's label loss."""
        weight = self.generator_label_weight
        return self.label_weight if weight is None else weight
