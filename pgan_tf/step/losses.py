"""Formulas of the losses: pure functions of float32 tensors, with one value `[b]` a sample.

They are the terms of WGAN-GP (Gulrajani et al. 2017) with the drift of appendix A.1, of LSGAN (Mao
et al. 2017), of the logistic loss with R1 and R2 (Mescheder et al. 2018), of the relativistic
pairing loss (Jolicoeur-Martineau 2018), and AC-GAN's label loss (Odena et al. 2017).
`adversarial.py` assembles losses from them.
"""

from collections.abc import Callable

import tensorflow as tf

from pgan_tf.step.loss_scale import NO_LOSS_SCALE, LossScale


def wasserstein_discriminator(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: D(fake) - D(real)."""
    return fake_scores - real_scores


def wasserstein_generator(fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: -D(fake)."""
    return -fake_scores


def drift(real_scores: tf.Tensor, *, weight: float) -> tf.Tensor:
    """`[b]`: weight * D(real)^2, which keeps scores near zero (appendix A.1)."""
    return weight * tf.square(real_scores)


def gradient_penalty(
    squared_gradient_norms: tf.Tensor, *, weight: float, target: float
) -> tf.Tensor:
    """`[b]`: weight * (norm - target)^2 / target^2."""
    return weight * tf.square(tf.sqrt(squared_gradient_norms) - target) / target**2


def least_squares_discriminator(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: (D(real) - 1)^2 + D(fake)^2.

    This and `least_squares_generator` are twice the losses of Mao et al. The scale of a loss makes
    no difference to Adam, but sets how much a label loss of weight 1 counts beside it.
    """
    return tf.square(real_scores - 1) + tf.square(fake_scores)


def least_squares_generator(fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: (D(fake) - 1)^2."""
    return tf.square(fake_scores - 1)


def logistic_discriminator(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: -log sigmoid(D(real)) - log(1 - sigmoid(D(fake)))."""
    return tf.nn.softplus(-real_scores) + tf.nn.softplus(fake_scores)


def logistic_generator(fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: -log sigmoid(D(fake)), which does not saturate."""
    return tf.nn.softplus(-fake_scores)


def relativistic_discriminator(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: -log sigmoid(D(real_i) - D(fake_i)), that the real of a pair is the more realistic.

    Jolicoeur-Martineau 2018, section 4.1; equation 2 of R3GAN (Huang et al. 2024).
    """
    return tf.nn.softplus(fake_scores - real_scores)


def relativistic_generator(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """`[b]`: -log sigmoid(D(fake_i) - D(real_i)), that the fake of a pair is."""
    return tf.nn.softplus(real_scores - fake_scores)


def zero_centered_penalty(squared_gradient_norms: tf.Tensor, *, gamma: float) -> tf.Tensor:
    """`[b]`: gamma / 2 * norm^2: R1 of norms at reals, R2 of norms at fakes."""
    return gamma / 2 * squared_gradient_norms


def label_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """`[b]`: softmax cross-entropy of `[b n]` logits against `[b n]` one-hot labels."""
    return tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def mix(reals: tf.Tensor, fakes: tf.Tensor, mixing: tf.Tensor) -> tf.Tensor:
    """`[b h w c]`: reals + (fakes - reals) * mixing, points between reals and fakes.

    Args:
      reals: `[b h w c]`.
      fakes: `[b h w c]`.
      mixing: `[b 1 1 1]` in [0, 1], one factor a sample.
    """
    return reals + (fakes - reals) * mixing


def squared_gradient_norms(
    score: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    *,
    scale: float,
    loss_scale: LossScale = NO_LOSS_SCALE,
) -> tf.Tensor:
    """`[b]`: the squared norm of the gradient of each score by its image, differentiable once more.

    Squared, because a root has no derivative at 0, where R1 drives the gradients to.

    Args:
      score: maps `[b h w c]` images to `[b]` scores.
      images: `[b h w c]`, points to take the gradient at.
      scale: factor on the norm (`gradients.gradient_norm_scale`).
      loss_scale: for scores computed in float16.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        total = loss_scale.scale(tf.reduce_sum(score(images)))
    (gradients,) = loss_scale.unscale([tape.gradient(total, images)])  # float32, as images are
    return tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]) * scale**2
