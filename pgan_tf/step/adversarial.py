"""The adversarial losses to choose from, assembled from the formulas in `losses.py`."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from pgan_tf.config import LossConfig
from pgan_tf.step import losses


@dataclasses.dataclass(frozen=True)
class GradientPenalty:
    """A term of the discriminator's loss: a cost of its gradient with respect to the image.

    Attributes:
      points: images `[b h w c]` to take the gradient at, from reals and fakes `[b h w c]` and
        mixing factors `[b 1 1 1]`.
      cost: terms of the loss `[b]`, from squared gradient norms `[b]`.
      suffix: of the names of its scalars.
    """

    points: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    cost: Callable[[tf.Tensor], tf.Tensor]
    suffix: str = ""

    @property
    def norm_name(self) -> str:
        """Name of the scalar of the gradient's norm."""
        return f"loss/gradient_norm{self.suffix}"

    @property
    def cost_name(self) -> str:
        """Name of the scalar of the term."""
        return f"loss/gradient_penalty{self.suffix}"


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """The losses that discriminator and generator play for. Scores and losses are `[b]`.

    Attributes:
      discriminator: its loss, from scores of reals and scores of fakes.
      generator: its loss, from scores of reals, or None, and scores of fakes.
      compares: whether the generator's loss depends on the scores of reals.
      logits: from scores of reals and scores of fakes, above 0 for reals that are told from fakes;
        None: the loss has no such zero.
      drift: one more term of the discriminator's loss, from scores of reals; None: no such term.
      penalties: of the discriminator's gradient.
    """

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    generator: Callable[[tf.Tensor | None, tf.Tensor], tf.Tensor]
    compares: bool = False
    logits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None
    drift: Callable[[tf.Tensor], tf.Tensor] | None = None
    penalties: tuple[GradientPenalty, ...] = ()


def adversarial_loss(config: LossConfig) -> AdversarialLoss:
    """Return the configured loss. Terms of weight 0 are left out, and not computed."""
    return _LOSSES[config.loss](config)


def _wgan_gp(config: LossConfig) -> AdversarialLoss:
    cost = functools.partial(
        losses.gradient_penalty,
        weight=config.gradient_penalty_weight,
        target=config.gradient_penalty_target,
    )
    drift = functools.partial(losses.drift, weight=config.drift_weight)
    return AdversarialLoss(
        losses.wasserstein_discriminator,
        _of_fakes(losses.wasserstein_generator),
        drift=drift if config.drift_weight else None,
        penalties=(GradientPenalty(losses.mix, cost),) if config.has_gradient_penalty else (),
    )


def _lsgan(config: LossConfig) -> AdversarialLoss:
    return AdversarialLoss(
        losses.least_squares_discriminator, _of_fakes(losses.least_squares_generator)
    )


def _logistic(config: LossConfig) -> AdversarialLoss:
    return AdversarialLoss(
        losses.logistic_discriminator,
        _of_fakes(losses.logistic_generator),
        logits=lambda real_scores, fake_scores: real_scores,
        penalties=_zero_centered(config),
    )


def _rpgan(config: LossConfig) -> AdversarialLoss:
    return AdversarialLoss(
        losses.relativistic_discriminator,
        losses.relativistic_generator,
        compares=True,
        logits=lambda real_scores, fake_scores: real_scores - fake_scores,
        penalties=_zero_centered(config),
    )


def _zero_centered(config: LossConfig) -> tuple[GradientPenalty, ...]:
    """Return R1 and R2, as far as they have weights."""
    penalties = []
    if config.has_r1:
        penalties.append(
            GradientPenalty(lambda reals, fakes, _: reals, _cost(config, config.r1_gamma))
        )
    if config.has_r2:
        penalties.append(
            GradientPenalty(
                lambda reals, fakes, _: fakes,
                _cost(config, config.r2_gamma),
                suffix="_fakes",
            )
        )
    return tuple(penalties)


def _cost(config: LossConfig, gamma: float | None) -> Callable[[tf.Tensor], tf.Tensor]:
    def cost(squared_norms: tf.Tensor) -> tf.Tensor:
        if gamma is None:
            raise ValueError("gammas must have been filled in by LossConfig.with_gammas")
        # So many times the weight makes up for the steps without.
        return losses.zero_centered_penalty(squared_norms, gamma=gamma * config.penalty_interval)

    return cost


def _of_fakes(
    loss: Callable[[tf.Tensor], tf.Tensor],
) -> Callable[[tf.Tensor | None, tf.Tensor], tf.Tensor]:
    return lambda real_scores, fake_scores: loss(fake_scores)


_LOSSES = {"wgan_gp": _wgan_gp, "lsgan": _lsgan, "logistic": _logistic, "rpgan": _rpgan}
