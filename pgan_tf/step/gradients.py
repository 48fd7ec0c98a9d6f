"""What each network learns from one batch: the gradients of its loss."""

import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from pgan_tf.config import LossConfig
from pgan_tf.networks.generator import Generator
from pgan_tf.step import losses
from pgan_tf.step.adversarial import adversarial_loss
from pgan_tf.step.loss_scale import UNSCALED, Unscaled

Metrics = dict[str, tf.Tensor]

# What the discriminator makes of images: scores `[b]`, and logits of labels `[b n]` or None.
Judgement = tuple[tf.Tensor, tf.Tensor | None]


def discriminator_gradients(
    generator: Generator,
    discriminator: Callable[..., Judgement],
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    resolution: int,
    alpha: tf.Tensor | None,
    reals: tf.Tensor,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    mixing: tf.Tensor,
    loss_scale: Unscaled = UNSCALED,
) -> tuple[list[tf.Tensor], Metrics]:
    """Gradients of the discriminator's loss, the mean over this replica's batch.

    Args:
      generator, discriminator: at the stage's `resolution` and `alpha` (None where it does not
        fade).
      variables: the discriminator's, to take gradients of.
      config: which loss, its weights and targets.
      reals: `[b h w c]` float32 in [-1, 1].
      labels: `[b n]` of the reals; the fakes carry them too. None without labels.
      latents: `[b latent_size]` standard normal.
      mixing: `[b 1 1 1]` in [0, 1]: where between reals and fakes WGAN-GP's penalty is taken.
      loss_scale: for networks that compute in float16.

    Returns:
      One gradient for each of `variables`, of the scaled loss; and the loss's terms as scalars.
    """
    fakes = generator(latents, labels, resolution=resolution, alpha=alpha, training=True)
    judge = functools.partial(discriminator, resolution=resolution, alpha=alpha, training=True)
    scale = _norm_scale(config, generator, resolution)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(_values(variables))
        loss, metrics, _ = _discriminator_loss(
            config,
            judge,
            scale,
            reals=reals,
            fakes=fakes,
            labels=labels,
            mixing=mixing,
            loss_scale=loss_scale,
        )
        loss = loss_scale.scale(loss)
    return tape.gradient(loss, _values(variables)), metrics


def generator_gradients(
    generator: Generator,
    discriminator: Callable[..., Judgement],
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    resolution: int,
    alpha: tf.Tensor | None,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    loss_scale: Unscaled = UNSCALED,
) -> tuple[list[tf.Tensor], Metrics]:
    """Gradients of the generator's loss, the mean over this replica's batch.

    Args:
      variables: the generator's, to take gradients of.
      labels: `[b n]`, what to generate. None without labels.
      Otherwise as in `discriminator_gradients`.

    Returns:
      One gradient for each of `variables`, of the scaled loss; and the loss's terms as scalars.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(_values(variables))
        fakes = generator(latents, labels, resolution=resolution, alpha=alpha, training=True)
        scores, logits = discriminator(fakes, resolution=resolution, alpha=alpha, training=True)
        loss, metrics = _generator_loss(config, scores, logits, labels)
        loss = loss_scale.scale(loss)
    return tape.gradient(loss, _values(variables)), metrics


def simultaneous_gradients(
    generator: Generator,
    discriminator: Callable[..., Judgement],
    generator_variables: Sequence[keras.Variable],
    discriminator_variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    resolution: int,
    alpha: tf.Tensor | None,
    reals: tf.Tensor,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    mixing: tf.Tensor,
    loss_scale: Unscaled = UNSCALED,
    generator_loss_scale: Unscaled = UNSCALED,
) -> tuple[list[tf.Tensor], list[tf.Tensor], Metrics]:
    """Gradients of both losses from one pass: the same fakes, and the same scores of them.

    The discriminator's are those of `discriminator_gradients`, and the generator's those of
    `generator_gradients` with the same latents and the reals' labels.

    Args:
      generator_variables, discriminator_variables: to take gradients of.
      loss_scale, generator_loss_scale: of the discriminator's loss, and of the generator's.
      Otherwise as in `discriminator_gradients`.

    Returns:
      One gradient for each of `generator_variables`, one for each of `discriminator_variables`,
      and the terms of both losses as scalars.
    """
    judge = functools.partial(discriminator, resolution=resolution, alpha=alpha, training=True)
    scale = _norm_scale(config, generator, resolution)
    with tf.GradientTape(watch_accessed_variables=False) as generator_tape:
        generator_tape.watch(_values(generator_variables))
        fakes = generator(latents, labels, resolution=resolution, alpha=alpha, training=True)
    # The generator's gradient goes through the fakes, so that the discriminator's leaves it alone.
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch([fakes, *_values(discriminator_variables)])
        loss, metrics, (scores, logits) = _discriminator_loss(
            config,
            judge,
            scale,
            reals=reals,
            fakes=fakes,
            labels=labels,
            mixing=mixing,
            loss_scale=loss_scale,
        )
        loss = loss_scale.scale(loss)
        generator_loss, generator_metrics = _generator_loss(config, scores, logits, labels)
        generator_loss = generator_loss_scale.scale(generator_loss)
    of_fakes = tape.gradient(generator_loss, fakes)
    generator_gradients = generator_tape.gradient(
        fakes, _values(generator_variables), output_gradients=of_fakes
    )
    gradients = tape.gradient(loss, _values(discriminator_variables))
    return generator_gradients, gradients, {**metrics, **generator_metrics}


def _discriminator_loss(
    config: LossConfig,
    judge: Callable[..., Judgement],
    scale: float,
    *,
    reals: tf.Tensor,
    fakes: tf.Tensor,
    labels: tf.Tensor | None,
    mixing: tf.Tensor,
    loss_scale: Unscaled,
) -> tuple[tf.Tensor, Metrics, Judgement]:
    """The mean of the discriminator's loss, its terms, and what was made of the fakes."""
    adversarial = adversarial_loss(config)
    # In one pass, which is faster than two; their minibatches stay apart.
    scores, logits = judge(tf.concat([reals, fakes], axis=0), parts=2)
    real_scores, fake_scores = tf.split(scores, 2)
    real_logits, fake_logits = (None, None) if logits is None else tf.split(logits, 2)
    metrics = {"scores/real": real_scores, "scores/fake": fake_scores}
    loss = adversarial.discriminator(real_scores, fake_scores)
    if adversarial.penalty is not None:
        squared_norms = losses.squared_gradient_norms(
            lambda images: judge(images)[0],
            adversarial.penalty.at(reals, fakes, mixing),
            scale=scale,
            loss_scale=loss_scale,
        )
        metrics["loss/gradient_norm"] = tf.sqrt(squared_norms)
        metrics["loss/gradient_penalty"] = adversarial.penalty.cost(squared_norms)
        loss += metrics["loss/gradient_penalty"]
    if adversarial.drift is not None:
        metrics["loss/drift"] = adversarial.drift(real_scores)
        loss += metrics["loss/drift"]
    if labels is not None:
        metrics["loss/label_real"] = losses.label_cross_entropy(real_logits, labels)
        metrics["loss/label_fake"] = losses.label_cross_entropy(fake_logits, labels)
        label_loss = metrics["loss/label_real"] + metrics["loss/label_fake"]
        loss += config.label_weight * label_loss
    mean, metrics = _means(loss, "loss/discriminator", metrics)
    return mean, metrics, (fake_scores, fake_logits)


def _generator_loss(
    config: LossConfig, scores: tf.Tensor, logits: tf.Tensor | None, labels: tf.Tensor | None
) -> tuple[tf.Tensor, Metrics]:
    """The mean of the generator's loss, from what the discriminator made of fakes; its terms."""
    metrics = {}
    loss = adversarial_loss(config).generator(scores)
    if labels is not None:
        metrics["loss/label_generator"] = losses.label_cross_entropy(logits, labels)
        loss += config.resolved_generator_label_weight * metrics["loss/label_generator"]
    return _means(loss, "loss/generator", metrics)


def _means(loss: tf.Tensor, name: str, metrics: Metrics) -> tuple[tf.Tensor, Metrics]:
    """Means over samples of a loss, and of its terms with itself among them."""
    means = {term: tf.reduce_mean(value) for term, value in {**metrics, name: loss}.items()}
    return means[name], means


def _norm_scale(config: LossConfig, generator: Generator, resolution: int) -> float:
    """What gradient norms at a stage are multiplied by."""
    final = config.gradient_penalty_resolution == "final"
    return resolution / generator.config.final_resolution if final else 1.0


def _values(variables: Sequence[keras.Variable]) -> list[tf.Variable]:
    """TensorFlow's own, because tapes do not take all of Keras's."""
    return [variable.value for variable in variables]
