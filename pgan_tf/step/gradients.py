"""Losses of one batch, and their gradients by the variables of each network."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from pgan_tf.config import LossConfig
from pgan_tf.networks.discriminator import DiscriminatorOutput
from pgan_tf.step import losses
from pgan_tf.step.adversarial import GradientPenalty, adversarial_loss
from pgan_tf.step.loss_scale import NO_LOSS_SCALE, LossScale
from pgan_tf.step.outputs import Scalars

# Both networks as a step runs them: at the stage's resolution and alpha, and in training.
# From latents `[b latent_size]` and labels `[b n]`, or None, to images `[b h w c]`.
BoundGenerator = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]
# From images `[b h w c]`, which hold `num_minibatches` minibatches one after the other.
BoundDiscriminator = Callable[..., DiscriminatorOutput]


def discriminator_gradients(
    generator: BoundGenerator,
    discriminator: BoundDiscriminator,
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    norm_scale: float,
    reals: tf.Tensor,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    mixing: tf.Tensor,
    loss_scale: LossScale = NO_LOSS_SCALE,
) -> tuple[list[tf.Tensor], Scalars]:
    """Compute the gradients of the discriminator's loss, a mean over this replica's batch.

    Args:
      generator: at the stage.
      discriminator: at the stage.
      variables: the discriminator's, to take gradients of.
      config: the loss, its weights and targets.
      norm_scale: see `gradient_norm_scale`.
      reals: `[b h w c]` float32 in [-1, 1].
      labels: `[b n]` of the reals; the fakes carry them too. None without labels.
      latents: `[b latent_size]` standard normal.
      mixing: `[b 1 1 1]` in [0, 1], positions between reals and fakes for WGAN-GP's penalty.
      loss_scale: for networks that compute in float16.

    Returns:
      One gradient of the scaled loss for each of `variables`; the loss and its terms.
    """
    fakes = generator(latents, labels)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(_tensorflow_variables(variables))
        loss, scalars, *_ = _discriminator_loss(
            discriminator, config, norm_scale, reals, fakes, labels, mixing, loss_scale
        )
        loss = loss_scale.scale(loss)
    return tape.gradient(loss, _tensorflow_variables(variables)), scalars


def penalty_gradients(
    generator: BoundGenerator,
    discriminator: BoundDiscriminator,
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    norm_scale: float,
    reals: tf.Tensor,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    mixing: tf.Tensor,
    loss_scale: LossScale = NO_LOSS_SCALE,
) -> tuple[list[tf.Tensor], Scalars]:
    """Compute the gradients of the penalties alone (`penalty_interval`), by the discriminator.

    Arguments and results are those of `discriminator_gradients`.
    """
    penalties = adversarial_loss(config).penalties
    fakes = generator(latents, labels) if config.has_r2 else None
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(_tensorflow_variables(variables))
        terms = _gradient_penalties(
            discriminator, penalties, norm_scale, reals, fakes, mixing, loss_scale
        )
        scalars = _means(terms)
        loss = tf.add_n([scalars[penalty.cost_name] for penalty in penalties])
        loss = loss_scale.scale(loss)
    gradients = tape.gradient(
        loss,
        _tensorflow_variables(variables),
        # No image's gradient depends on the last bias.
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return gradients, scalars


def generator_gradients(
    generator: BoundGenerator,
    discriminator: BoundDiscriminator,
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    reals: tf.Tensor | None = None,
    loss_scale: LossScale = NO_LOSS_SCALE,
) -> tuple[list[tf.Tensor], Scalars]:
    """Compute the gradients of the generator's loss, a mean over this replica's batch.

    Args:
      generator: at the stage.
      discriminator: at the stage.
      variables: the generator's, to take gradients of.
      config: the loss and its weights.
      labels: `[b n]`, labels of the images to generate. None without labels.
      latents: `[b latent_size]` standard normal.
      reals: `[b h w c]`, for losses that compare fakes with them; else None.
      loss_scale: for networks that compute in float16.

    Returns:
      One gradient of the scaled loss for each of `variables`; the loss and its terms.
    """
    real_scores = None if reals is None else discriminator(reals).scores
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(_tensorflow_variables(variables))
        fakes = generator(latents, labels)
        loss, scalars = _generator_loss(config, real_scores, discriminator(fakes), labels)
        loss = loss_scale.scale(loss)
    return tape.gradient(loss, _tensorflow_variables(variables)), scalars


def simultaneous_gradients(
    generator: BoundGenerator,
    discriminator: BoundDiscriminator,
    generator_variables: Sequence[keras.Variable],
    discriminator_variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    norm_scale: float,
    reals: tf.Tensor,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    mixing: tf.Tensor,
    generator_loss_scale: LossScale = NO_LOSS_SCALE,
    discriminator_loss_scale: LossScale = NO_LOSS_SCALE,
) -> tuple[list[tf.Tensor], list[tf.Tensor], Scalars]:
    """Compute the gradients of both losses from one pass, with the same fakes and scores.

    They are those of `discriminator_gradients`, and those of `generator_gradients` for the same
    latents and the reals' labels.

    Args:
      generator: at the stage.
      discriminator: at the stage.
      generator_variables: to take gradients of the generator's loss.
      discriminator_variables: to take gradients of the discriminator's loss.
      config: the losses, their weights and targets.
      norm_scale: see `gradient_norm_scale`.
      reals: `[b h w c]` float32 in [-1, 1].
      labels: `[b n]` of the reals; the fakes carry them too. None without labels.
      latents: `[b latent_size]` standard normal.
      mixing: `[b 1 1 1]` in [0, 1], positions between reals and fakes for WGAN-GP's penalty.
      generator_loss_scale: for networks that compute in float16.
      discriminator_loss_scale: for networks that compute in float16.

    Returns:
      One gradient for each of `generator_variables`; one for each of `discriminator_variables`;
      both losses and their terms.
    """
    with tf.GradientTape(watch_accessed_variables=False) as generator_tape:
        generator_tape.watch(_tensorflow_variables(generator_variables))
        fakes = generator(latents, labels)
    # The generator's gradient is taken by way of the fakes, so that the discriminator's loss, which
    # depends on them too, is differentiated by the discriminator's variables alone.
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch([fakes, *_tensorflow_variables(discriminator_variables)])
        discriminator_loss, scalars, real_scores, fake_output = _discriminator_loss(
            discriminator,
            config,
            norm_scale,
            reals,
            fakes,
            labels,
            mixing,
            discriminator_loss_scale,
        )
        discriminator_loss = discriminator_loss_scale.scale(discriminator_loss)
        generator_loss, generator_scalars = _generator_loss(
            config, real_scores, fake_output, labels
        )
        generator_loss = generator_loss_scale.scale(generator_loss)
    generator_gradients = generator_tape.gradient(
        fakes,
        _tensorflow_variables(generator_variables),
        output_gradients=tape.gradient(generator_loss, fakes),
    )
    discriminator_gradients = tape.gradient(
        discriminator_loss, _tensorflow_variables(discriminator_variables)
    )
    return generator_gradients, discriminator_gradients, {**scalars, **generator_scalars}


def gradient_norm_scale(config: LossConfig, resolution: int, final_resolution: int) -> float:
    """Return the factor on gradient norms at a stage: 1, or stage / final resolution.

    The original upscales the stage's images, by repetition, to the final resolution before its
    discriminator sees them, and takes the norm there. Each of the (final / stage)^2 copies of a
    pixel gets (stage / final)^2 of the pixel's gradient, so the norm there is stage / final times
    the norm at the stage.
    """
    if config.gradient_penalty_resolution == "stage":
        return 1.0
    return resolution / final_resolution


def _discriminator_loss(
    discriminator: BoundDiscriminator,
    config: LossConfig,
    norm_scale: float,
    reals: tf.Tensor,
    fakes: tf.Tensor,
    labels: tf.Tensor | None,
    mixing: tf.Tensor,
    loss_scale: LossScale,
) -> tuple[tf.Tensor, Scalars, tf.Tensor, DiscriminatorOutput]:
    """Return the mean of the discriminator's loss, its scalars, and what it tells of the images.

    Returns:
      The loss; its scalars; the scores of reals `[b]`; the output for fakes.
    """
    adversarial = adversarial_loss(config)
    # In one pass, which is faster than two; each half is a minibatch of its own.
    output = discriminator(tf.concat([reals, fakes], axis=0), num_minibatches=2)
    real_scores, fake_scores = tf.split(output.scores, 2)
    real_logits, fake_logits = (None, None) if output.logits is None else tf.split(output.logits, 2)
    loss = adversarial.discriminator(real_scores, fake_scores)
    terms = {"scores/real": real_scores, "scores/fake": fake_scores}  # `[b]` each
    if adversarial.logits is not None:
        terms["scores/real_sign"] = tf.sign(adversarial.logits(real_scores, fake_scores))
    if adversarial.penalties and not config.is_lazy:
        penalties = _gradient_penalties(
            discriminator, adversarial.penalties, norm_scale, reals, fakes, mixing, loss_scale
        )
        terms |= penalties
        loss += tf.add_n([penalties[penalty.cost_name] for penalty in adversarial.penalties])
    if adversarial.drift is not None:
        terms["loss/drift"] = adversarial.drift(real_scores)
        loss += terms["loss/drift"]
    if labels is not None:
        terms["loss/label_real"] = losses.label_cross_entropy(real_logits, labels)
        terms["loss/label_fake"] = losses.label_cross_entropy(fake_logits, labels)
        loss += config.label_weight * (terms["loss/label_real"] + terms["loss/label_fake"])
    scalars = _means({**terms, "loss/discriminator": loss})
    fake_output = DiscriminatorOutput(fake_scores, fake_logits)
    return scalars["loss/discriminator"], scalars, real_scores, fake_output


def _gradient_penalties(
    discriminator: BoundDiscriminator,
    penalties: Sequence[GradientPenalty],
    norm_scale: float,
    reals: tf.Tensor,
    fakes: tf.Tensor | None,
    mixing: tf.Tensor,
    loss_scale: LossScale,
) -> dict[str, tf.Tensor]:
    """Return norms and costs `[b]` of the penalties by their names."""
    points = [penalty.points(reals, fakes, mixing) for penalty in penalties]
    squared_norms = losses.squared_gradient_norms(
        lambda images: discriminator(images, num_minibatches=len(points)).scores,
        tf.concat(points, axis=0),
        scale=norm_scale,
        loss_scale=loss_scale,
    )
    terms = {}
    for penalty, norms in zip(penalties, tf.split(squared_norms, len(points)), strict=True):
        terms[penalty.norm_name] = tf.sqrt(norms)
        terms[penalty.cost_name] = penalty.cost(norms)
    return terms


def _generator_loss(
    config: LossConfig,
    real_scores: tf.Tensor | None,
    fake_output: DiscriminatorOutput,
    labels: tf.Tensor | None,
) -> tuple[tf.Tensor, Scalars]:
    """Return the mean of the generator's loss, and its scalars."""
    loss = adversarial_loss(config).generator(real_scores, fake_output.scores)
    terms = {}
    if labels is not None:
        terms["loss/label_generator"] = losses.label_cross_entropy(fake_output.logits, labels)
        loss += config.resolved_generator_label_weight * terms["loss/label_generator"]
    scalars = _means({**terms, "loss/generator": loss})
    return scalars["loss/generator"], scalars


def _means(terms: dict[str, tf.Tensor]) -> Scalars:
    """Return the mean over samples of each term `[b]`."""
    return {name: tf.reduce_mean(term) for name, term in terms.items()}


def _tensorflow_variables(variables: Sequence[keras.Variable]) -> list[tf.Variable]:
    """Return the variables that tapes accept: they fail on some of Keras's own."""
    return [variable.value for variable in variables]
