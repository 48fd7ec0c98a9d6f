"""One iteration as one graph: a discriminator step, a generator step, the moving average."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.gradients import (
    Judgement,
    Metrics,
    discriminator_gradients,
    generator_gradients,
    simultaneous_gradients,
)
from pgan_tf.loss_scale import Unscaled
from pgan_tf.noise import FeatureNoise, Noise, noise_strength, normal, uniform
from pgan_tf.reals import prepare_reals
from pgan_tf.state import TrainState
from pgan_tf.updates import apply_gradients, update_average, update_real_score


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


def make_train_step(
    state: TrainState,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    *,
    resolution: int,
    fading: bool,
    trains_generator: bool = True,
) -> Callable[[StepInputs], StepResult]:
    """Makes the function that trains one batch at one stage and phase.

    Args:
      state: what it changes.
      config: with what only the data can tell filled in.
      strategy: where the replicas run.
      resolution: the stage's.
      fading: whether alpha is below 1, so that the lower resolution takes part.
      trains_generator: False for a discriminator step that no generator step follows.

    Returns:
      A function from `StepInputs` (per replica) to `StepResult`. The same whatever the number of
      replicas, up to rounding: what is drawn is drawn for the global batch, of which each replica
      takes its samples.
    """
    generator_variables = state.generator.trainable_variables_at(resolution, fading=fading)
    discriminator_variables = state.discriminator.trainable_variables_at(resolution, fading=fading)
    averaged_variables = state.generator.variables_at(resolution, fading=fading)
    ema_variables = state.ema_generator.variables_at(resolution, fading=fading)
    latent_size = config.network.resolved_latent_size
    has_labels = config.network.label_size > 0
    compiles = uses_xla(config)
    averages_after_discriminator = config.optimizer.ema_update == "discriminator_step"

    def replica_step(inputs: StepInputs) -> StepResult:
        batch = inputs.images.shape[0]
        alpha = inputs.alpha if fading else None
        labels = inputs.labels if has_labels else None
        fake_labels = inputs.fake_labels if has_labels else None

        def seed(purpose: Noise) -> tf.Tensor:
            base = tf.stack([inputs.noise_seed, inputs.images_seen])
            return tf.random.fold_in(base, int(purpose))

        def judge(purpose: Noise) -> Callable[..., Judgement]:
            """The discriminator, with the noise of one pass where it is given any."""
            if state.real_score is None:
                return state.discriminator
            strength = noise_strength(config.network.discriminator_noise, state.real_score)
            return functools.partial(
                state.discriminator, noise=FeatureNoise(strength, seed(purpose))
            )

        def average() -> None:
            decay = config.optimizer.ema_decay_at(batch * strategy.num_replicas_in_sync)
            update_average(ema_variables, averaged_variables, decay=decay)

        def update_discriminator(gradients: list[tf.Tensor], real_score: tf.Tensor) -> Metrics:
            skipped, norm = apply_gradients(
                state.discriminator_optimizer,
                gradients,
                discriminator_variables,
                inputs.learning_rate,
                state.discriminator_loss_scale,
            )
            if state.real_score is not None:
                update_real_score(state.real_score, real_score)
            if averages_after_discriminator:
                average()
            return {
                "updates/discriminator_skipped": skipped,
                "updates/discriminator_gradient_norm": norm,
            }

        def update_generator(gradients: list[tf.Tensor]) -> Metrics:
            skipped, norm = apply_gradients(
                state.generator_optimizer,
                gradients,
                generator_variables,
                inputs.learning_rate,
                state.generator_loss_scale,
            )
            if not averages_after_discriminator:
                average()
            return {"updates/generator_skipped": skipped, "updates/generator_gradient_norm": norm}

        def learn(
            compute: Callable, discriminator: Callable, *variables: list, **loss_scales: Unscaled
        ) -> Callable:
            learn = functools.partial(
                compute,
                state.generator,
                discriminator,
                *variables,
                config.loss,
                resolution=resolution,
                alpha=alpha,
                **loss_scales,
            )
            return tf.function(learn, autograph=False, jit_compile=True) if compiles else learn

        shown = {
            "reals": prepare_reals(
                inputs.images,
                alpha,
                mirror_seed=seed(Noise.MIRROR) if config.data.mirror_augment else None,
                dequantize_seed=seed(Noise.DEQUANTIZE) if config.data.dequantize else None,
            ),
            "labels": labels,
            "latents": normal([batch, latent_size], seed(Noise.DISCRIMINATOR_LATENTS)),
            "mixing": uniform([batch, 1, 1, 1], seed(Noise.MIXING)),
        }
        if config.optimizer.simultaneous_updates:
            for_generator, for_discriminator, metrics = learn(
                simultaneous_gradients,
                judge(Noise.DISCRIMINATOR_FEATURES),
                generator_variables,
                discriminator_variables,
                loss_scale=state.discriminator_loss_scale,
                generator_loss_scale=state.generator_loss_scale,
            )(**shown)
            metrics |= update_discriminator(for_discriminator, metrics["scores/real"])
            metrics |= update_generator(for_generator)
            return _over_replicas(metrics, inputs.votes)

        gradients, metrics = learn(
            discriminator_gradients,
            judge(Noise.DISCRIMINATOR_FEATURES),
            discriminator_variables,
            loss_scale=state.discriminator_loss_scale,
        )(**shown)
        metrics |= update_discriminator(gradients, metrics["scores/real"])
        if trains_generator:
            gradients, generator_metrics = learn(
                generator_gradients,
                judge(Noise.GENERATOR_FEATURES),
                generator_variables,
                loss_scale=state.generator_loss_scale,
            )(
                labels=fake_labels,
                latents=normal([batch, latent_size], seed(Noise.GENERATOR_LATENTS)),
            )
            metrics |= generator_metrics | update_generator(gradients)
        return _over_replicas(metrics, inputs.votes)

    @tf.function(autograph=False)
    def train_step(inputs: StepInputs) -> StepResult:
        # All replicas have the same, so the first one's will do.
        per_replica = strategy.run(replica_step, args=(inputs,))
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], per_replica
        )

    return train_step


def uses_xla(config: TrainConfig) -> bool:
    """Whether gradients are compiled: by default on GPUs, but for batch norm's exchange."""
    if config.run.jit_compile == "auto":
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        return has_gpu and not config.network.normalizes_batches
    return config.run.jit_compile == "on"


def _over_replicas(metrics: Metrics, votes: tf.Tensor) -> StepResult:
    """Means of metrics and sums of votes over all replicas, in one exchange."""
    context = tf.distribute.get_replica_context()
    means = tf.stack(list(metrics.values())) / context.num_replicas_in_sync
    totals = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([means, votes], axis=0))
    return StepResult(
        dict(zip(metrics, tf.unstack(totals[: len(metrics)]), strict=True)), totals[len(metrics) :]
    )
