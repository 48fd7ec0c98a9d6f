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
    """

    points: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    cost: Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """The losses that discriminator and generator play for. Scores and losses are `[b]`.

    Attributes:
      discriminator: its loss, from scores of reals and scores of fakes.
      generator: its loss, from scores of fakes.
      drift: one more term of the discriminator's loss, from scores of reals; None: no such term.
      penalty: of the discriminator's gradient; None: no such term.
    """

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    generator: Callable[[tf.Tensor], tf.Tensor]
    drift: Callable[[tf.Tensor], tf.Tensor] | None = None
    penalty: GradientPenalty | None = None


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
        losses.wasserstein_generator,
        drift=drift if config.drift_weight else None,
        penalty=GradientPenalty(losses.mix, cost) if config.has_gradient_penalty else None,
    )


def _lsgan(config: LossConfig) -> AdversarialLoss:
    return AdversarialLoss(losses.least_squares_discriminator, losses.least_squares_generator)


def _logistic(config: LossConfig) -> AdversarialLoss:
    r1 = functools.partial(losses.r1, gamma=config.r1_gamma)
    return AdversarialLoss(
        losses.logistic_discriminator,
        losses.logistic_generator,
        penalty=GradientPenalty(_reals, r1) if config.has_gradient_penalty else None,
    )


def _reals(reals: tf.Tensor, fakes: tf.Tensor, mixing: tf.Tensor) -> tf.Tensor:
    return reals


_LOSSES = {"wgan_gp": _wgan_gp, "lsgan": _lsgan, "logistic": _logistic}
