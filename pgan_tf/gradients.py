"""What each network learns from one batch: the gradients of its loss."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from pgan_tf import losses
from pgan_tf.config import LossConfig
from pgan_tf.networks import Discriminator, Generator

Metrics = dict[str, tf.Tensor]


def discriminator_gradients(
    generator: Generator,
    discriminator: Discriminator,
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    resolution: int,
    alpha: tf.Tensor | None,
    reals: tf.Tensor,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
    mixing: tf.Tensor,
) -> tuple[list[tf.Tensor], Metrics]:
    """Gradients of the discriminator's loss, the mean over this replica's batch.

    Args:
      generator, discriminator: at the stage's `resolution` and `alpha` (None where it does not
        fade).
      variables: the discriminator's, to take gradients of.
      config: weights and targets of the loss.
      reals: `[b h w c]` float32 in [-1, 1].
      labels: `[b n]` of the reals; the fakes carry them too. None without labels.
      latents: `[b latent_size]` standard normal.
      mixing: `[b 1 1 1]` in [0, 1]: where between reals and fakes the penalty is taken.

    Returns:
      One gradient for each of `variables`, and the loss's terms as scalars.
    """
    fakes = generator(latents, labels, resolution=resolution, alpha=alpha, training=True)

    def judge(images: tf.Tensor, *, parts: int = 1) -> tuple[tf.Tensor, tf.Tensor | None]:
        return discriminator(images, resolution=resolution, alpha=alpha, parts=parts, training=True)

    final = config.gradient_penalty_resolution == "final"
    scale = resolution / generator.config.resolutions[-1] if final else 1.0
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        # In one pass, which is faster than two; their minibatches stay apart.
        scores, logits = judge(tf.concat([reals, fakes], axis=0), parts=2)
        real_scores, fake_scores = tf.split(scores, 2)
        norms = losses.gradient_norms(
            lambda images: judge(images)[0], losses.mix(reals, fakes, mixing), scale=scale
        )
        penalty = losses.gradient_penalty(
            norms, weight=config.gradient_penalty_weight, target=config.gradient_penalty_target
        )
        drift = losses.drift(real_scores, weight=config.drift_weight)
        loss = losses.wasserstein_discriminator(real_scores, fake_scores) + penalty + drift
        metrics = {
            "scores/real": real_scores,
            "scores/fake": fake_scores,
            "loss/gradient_penalty": penalty,
            "loss/gradient_norm": norms,
            "loss/drift": drift,
        }
        if labels is not None:
            real_logits, fake_logits = tf.split(logits, 2)
            metrics["loss/label_real"] = losses.label_cross_entropy(real_logits, labels)
            metrics["loss/label_fake"] = losses.label_cross_entropy(fake_logits, labels)
            label_loss = metrics["loss/label_real"] + metrics["loss/label_fake"]
            loss += config.label_weight * label_loss
        metrics["loss/discriminator"] = loss
        mean_loss = tf.reduce_mean(loss)
    gradients = tape.gradient(mean_loss, [v.value for v in variables])
    return gradients, {name: tf.reduce_mean(value) for name, value in metrics.items()}


def generator_gradients(
    generator: Generator,
    discriminator: Discriminator,
    variables: Sequence[keras.Variable],
    config: LossConfig,
    *,
    resolution: int,
    alpha: tf.Tensor | None,
    labels: tf.Tensor | None,
    latents: tf.Tensor,
) -> tuple[list[tf.Tensor], Metrics]:
    """Gradients of the generator's loss, the mean over this replica's batch.

    Args:
      variables: the generator's, to take gradients of.
      labels: `[b n]`, what to generate. None without labels.
      Otherwise as in `discriminator_gradients`.

    Returns:
      One gradient for each of `variables`, and the loss's terms as scalars.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        fakes = generator(latents, labels, resolution=resolution, alpha=alpha, training=True)
        scores, logits = discriminator(fakes, resolution=resolution, alpha=alpha, training=True)
        loss = losses.wasserstein_generator(scores)
        metrics = {}
        if labels is not None:
            metrics["loss/label_generator"] = losses.label_cross_entropy(logits, labels)
            loss += config.label_weight * metrics["loss/label_generator"]
        metrics["loss/generator"] = loss
        mean_loss = tf.reduce_mean(loss)
    gradients = tape.gradient(mean_loss, [v.value for v in variables])
    return gradients, {name: tf.reduce_mean(value) for name, value in metrics.items()}
