"""One iteration as one graph: a discriminator step, the moving average, a generator step."""

import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from pgan_tf import losses
from pgan_tf.config import LossConfig, TrainConfig
from pgan_tf.distribution import rank
from pgan_tf.layers import downscale2d, upscale2d
from pgan_tf.networks import Discriminator, Generator
from pgan_tf.state import TrainState

Metrics = dict[str, tf.Tensor]


class StepInputs(NamedTuple):
    """What changes from step to step.

    Attributes:
      images: `[b c h w]` uint8, reals as the pyramid holds them, each replica its own.
      labels: `[b n]` float32, theirs; n is 0 without labels.
      fake_labels: `[b n]` float32, drawn from the data's, for the generator's step.
      alpha: scalar float32 in [0, 1].
      learning_rate: scalar float32.
      images_seen: scalar int64, real images shown before this step.
      noise_seed: scalar int64, of everything that a step draws.
      votes: `[v]` float32, what each worker has to tell the others (`StepResult.votes`).
    """

    images: tf.Tensor
    labels: tf.Tensor
    fake_labels: tf.Tensor
    alpha: tf.Tensor
    learning_rate: tf.Tensor
    images_seen: tf.Tensor
    noise_seed: tf.Tensor
    votes: tf.Tensor


class StepResult(NamedTuple):
    """What a step tells, the same on every worker.

    Attributes:
      metrics: scalars by name, means over the global batch.
      votes: `[v]` float32, sums over all replicas.
    """

    metrics: Metrics
    votes: tf.Tensor


class _Noise(enum.IntEnum):
    """What a random stream is for. Runs are reproducible by these values: never renumber."""

    MIRROR = 0
    DISCRIMINATOR_LATENTS = 1
    MIXING = 2
    GENERATOR_LATENTS = 3


def make_train_step(
    state: TrainState,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    *,
    resolution: int,
    fading: bool,
) -> Callable[[StepInputs], StepResult]:
    """Makes the function that trains one batch at one stage and phase.

    Args:
      state: what it changes.
      config: with what only the data can tell filled in.
      strategy: where the replicas run.
      resolution: the stage's.
      fading: whether alpha is below 1, so that the lower resolution takes part.

    Returns:
      A function from `StepInputs` (per replica) to `StepResult`. The same whatever the number of
      replicas, up to rounding: what is drawn is drawn for the global batch, of which each replica
      takes its samples.
    """
    generator_variables = state.generator.variables_at(resolution, fading=fading)
    ema_variables = state.ema_generator.variables_at(resolution, fading=fading)
    discriminator_variables = state.discriminator.variables_at(resolution, fading=fading)
    latent_size = config.network.resolved_latent_size
    has_labels = config.network.label_size > 0
    ema_decay = config.optimizer.ema_decay

    def replica_step(inputs: StepInputs) -> StepResult:
        batch = inputs.images.shape[0]
        alpha = inputs.alpha if fading else None
        labels = inputs.labels if has_labels else None
        fake_labels = inputs.fake_labels if has_labels else None

        def seed(purpose: _Noise) -> tf.Tensor:
            base = tf.stack([inputs.noise_seed, inputs.images_seen])
            return tf.random.fold_in(base, int(purpose))

        reals = prepare_reals(
            inputs.images,
            alpha,
            mirror_seed=seed(_Noise.MIRROR) if config.data.mirror_augment else None,
        )
        gradients, metrics = discriminator_gradients(
            state.generator,
            state.discriminator,
            discriminator_variables,
            config.loss,
            resolution=resolution,
            alpha=alpha,
            reals=reals,
            labels=labels,
            latents=_normal([batch, latent_size], seed(_Noise.DISCRIMINATOR_LATENTS)),
            mixing=_uniform([batch, 1, 1, 1], seed(_Noise.MIXING)),
        )
        skipped, norm = _apply(
            state.discriminator_optimizer, gradients, discriminator_variables, inputs.learning_rate
        )
        metrics["updates/discriminator_skipped"] = skipped
        metrics["updates/discriminator_gradient_norm"] = norm
        for ema, weight in zip(ema_variables, generator_variables, strict=True):
            ema.assign(weight + (ema - weight) * ema_decay)

        gradients, generator_metrics = generator_gradients(
            state.generator,
            state.discriminator,
            generator_variables,
            config.loss,
            resolution=resolution,
            alpha=alpha,
            labels=fake_labels,
            latents=_normal([batch, latent_size], seed(_Noise.GENERATOR_LATENTS)),
        )
        metrics.update(generator_metrics)
        skipped, norm = _apply(
            state.generator_optimizer, gradients, generator_variables, inputs.learning_rate
        )
        metrics["updates/generator_skipped"] = skipped
        metrics["updates/generator_gradient_norm"] = norm
        return _over_replicas(metrics, inputs.votes)

    @tf.function(autograph=False)
    def train_step(inputs: StepInputs) -> StepResult:
        # All replicas have the same, so the first one's will do.
        per_replica = strategy.run(replica_step, args=(inputs,))
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], per_replica
        )

    return train_step


def prepare_reals(
    images: tf.Tensor, alpha: tf.Tensor | None, *, mirror_seed: tf.Tensor | None = None
) -> tf.Tensor:
    """Reals as the discriminator is shown them.

    Args:
      images: `[b c h w]` uint8.
      alpha: scalar in [0, 1] while a stage fades in: reals fade too, from what the resolution below
        holds of them (2x2 means, repeated) to themselves. None: they stay as they are.
      mirror_seed: `[2]`; each image is mirrored left-right with probability 1/2. None: none is.

    Returns:
      `[b h w c]` float32 in [-1, 1].
    """
    reals = tf.cast(tf.transpose(images, [0, 2, 3, 1]), tf.float32) / 127.5 - 1.0
    if mirror_seed is not None:
        coins = _uniform([images.shape[0], 1, 1, 1], mirror_seed)
        reals = tf.where(coins < 0.5, tf.reverse(reals, axis=[2]), reals)
    if alpha is not None:
        lower = upscale2d(downscale2d(reals))
        reals = lower + (reals - lower) * alpha
    return reals


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
    fakes = generator(latents, labels, resolution=resolution, alpha=alpha)

    def judge(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        return discriminator(images, resolution=resolution, alpha=alpha)

    final = config.gradient_penalty_resolution == "final"
    scale = resolution / generator.config.resolutions[-1] if final else 1.0
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        real_scores, real_logits = judge(reals)
        fake_scores, fake_logits = judge(fakes)
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
        fakes = generator(latents, labels, resolution=resolution, alpha=alpha)
        scores, logits = discriminator(fakes, resolution=resolution, alpha=alpha)
        loss = losses.wasserstein_generator(scores)
        metrics = {}
        if labels is not None:
            metrics["loss/label_generator"] = losses.label_cross_entropy(logits, labels)
            loss += config.label_weight * metrics["loss/label_generator"]
        metrics["loss/generator"] = loss
        mean_loss = tf.reduce_mean(loss)
    gradients = tape.gradient(mean_loss, [v.value for v in variables])
    return gradients, {name: tf.reduce_mean(value) for name, value in metrics.items()}


def _apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    learning_rate: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Updates the variables, unless a gradient is not finite.

    Returns:
      1.0 if the update was skipped, else 0.0; and the norm of all gradients together, after their
      mean over replicas.
    """
    context = tf.distribute.get_replica_context()
    # The mean over replicas, taken before deciding, so that all decide alike. The optimizer's own
    # `apply` would reduce the gradients once more, hence its `update_step`.
    scaled = [gradient / context.num_replicas_in_sync for gradient in gradients]
    gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, scaled)
    # Not finite if any gradient is not, or is so large that Adam could not square it.
    norm = tf.linalg.global_norm(gradients)
    finite = tf.math.is_finite(norm)

    def update() -> tf.Tensor:
        for gradient, variable in zip(gradients, variables, strict=True):
            optimizer.update_step(gradient, variable, learning_rate)
        return tf.constant(0.0)

    skipped = tf.cond(finite, update, lambda: tf.constant(1.0))
    # Outside of the condition, because Keras has the replicas agree on this one variable.
    optimizer.iterations.assign_add(tf.cast(finite, optimizer.iterations.dtype))
    return skipped, norm


def _over_replicas(metrics: Metrics, votes: tf.Tensor) -> StepResult:
    """Means of metrics and sums of votes over all replicas, in one exchange."""
    context = tf.distribute.get_replica_context()
    means = tf.stack(list(metrics.values())) / context.num_replicas_in_sync
    totals = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([means, votes], axis=0))
    return StepResult(
        dict(zip(metrics, tf.unstack(totals[: len(metrics)]), strict=True)), totals[len(metrics) :]
    )


def _normal(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """This replica's `shape` of standard normal noise."""
    return _own_samples(tf.random.stateless_normal, shape, seed)


def _uniform(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """This replica's `shape` of noise in [0, 1)."""
    return _own_samples(tf.random.stateless_uniform, shape, seed)


def _own_samples(
    draw: Callable[..., tf.Tensor], shape: Sequence[int], seed: tf.Tensor
) -> tf.Tensor:
    """Draws for the global batch, and takes this replica's samples."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return draw(shape, seed)
    batch, *rest = shape
    noise = tf.reshape(draw([batch * replicas, *rest], seed), [batch, replicas, *rest])
    return tf.gather(noise, rank(context.strategy, context.replica_id_in_sync_group), axis=1)
