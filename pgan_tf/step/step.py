"""Iterations as one graph: a discriminator step, a generator step, the moving average."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.distribution.strategy import local_replicas
from pgan_tf.step.gradients import (
    Judgement,
    Metrics,
    discriminator_gradients,
    generator_gradients,
    simultaneous_gradients,
)
from pgan_tf.step.loss_scale import Unscaled
from pgan_tf.step.microbatches import count_microbatches, in_microbatches
from pgan_tf.step.noise import FeatureNoise, Noise, noise_strength, normal, uniform
from pgan_tf.step.reals import prepare_reals
from pgan_tf.step.train_state import TrainState
from pgan_tf.step.updates import apply_gradients, update_average, update_real_score


class StepInputs(NamedTuple):
    """What changes from call to call, for s steps (`steps_per_call`).

    Attributes:
      images: `[s b c h w]` uint8, reals as the pyramid holds them, each replica its own.
      labels: `[s b n]` float32, theirs; n is 0 without labels.
      fake_labels: `[s b n]` float32, drawn from the data's, for the generator's step.
      alpha: `[s]` float32 in [0, 1].
      learning_rate: `[s]` float32.
      images_seen: `[s]` int64, real images shown before each step.
      count: scalar int32, how many steps to take, the first ones; from 1 to s.
      noise_seed: scalar int64, of everything that a step draws.
      stop_flags: `[f]` float32, one for each signal: 1.0 where this worker has received it.
    """

    images: tf.Tensor
    labels: tf.Tensor
    fake_labels: tf.Tensor
    alpha: tf.Tensor
    learning_rate: tf.Tensor
    images_seen: tf.Tensor
    count: tf.Tensor
    noise_seed: tf.Tensor
    stop_flags: tf.Tensor

    def at(self, index: tf.Tensor | int) -> "StepInputs":
        """Those of one step, without the leading axis."""
        stacked = ("images", "labels", "fake_labels", "alpha", "learning_rate", "images_seen")
        return self._replace(**{name: getattr(self, name)[index] for name in stacked})


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What a call tells of its steps, the same on every worker.

    Attributes:
      names: what the n scalars of a step are called.
      tensor: `[count n+f]` float32, still on its device: each step's scalars, and the stop flags.
    """

    names: tuple[str, ...]
    tensor: tf.Tensor

    @functools.cached_property
    def _array(self) -> np.ndarray:
        return self.tensor.numpy()

    @property
    def scalars(self) -> np.ndarray:
        """`[count n]`, means over the global batch. Waits for the device."""
        return self._array[:, : len(self.names)]

    @property
    def stop_flags(self) -> np.ndarray:
        """`[f]`, sums over all replicas. Waits for the device."""
        return self._array[-1, len(self.names) :]

    @property
    def last_scalars(self) -> dict[str, float]:
        """The last step's scalars by name. Waits for the device."""
        return dict(zip(self.names, self.scalars[-1].tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class TrainStep:
    """Trains the steps of a call at one stage and phase.

    Attributes:
      graph: from `StepInputs` to `StepResult.tensor`.
      names: of the scalars; filled when the graph is made.
    """

    graph: tf.types.experimental.PolymorphicFunction
    names: list[str]

    def __call__(self, inputs: StepInputs) -> StepResult:
        tensor = self.graph(inputs)
        return StepResult(tuple(self.names), tensor)


def make_train_step(
    state: TrainState,
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    *,
    resolution: int,
    fading: bool,
    trains_generator: bool = True,
) -> TrainStep:
    """Makes the function that trains batches at one stage and phase, one or several in a call.

    Args:
      state: what it changes.
      config: with what only the data can tell filled in.
      strategy: where the replicas run.
      resolution: the stage's.
      fading: whether alpha is below 1, so that the lower resolution takes part.
      trains_generator: False for a discriminator step that no generator step follows.

    Returns:
      From `StepInputs` (per replica) to `StepResult`; the steps of inputs for several are a loop in
      the graph. The same whatever the number of
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

    names: list[str] = []

    def replica_step(stacked: StepInputs, index: tf.Tensor | int) -> tf.Tensor:
        inputs = stacked.at(index)
        batch = inputs.images.shape[0]
        microbatches = count_microbatches(config, batch, replicas=local_replicas(strategy))
        alpha = inputs.alpha if fading else None
        labels = inputs.labels if has_labels else None
        fake_labels = inputs.fake_labels if has_labels else None

        def tell(metrics: Metrics) -> tf.Tensor:
            names[:] = metrics
            return _over_replicas(metrics, inputs.stop_flags)

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
            if compiles:
                return tf.function(learn, autograph=False, jit_compile=True)
            return in_microbatches(learn, microbatches)

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
            return tell(metrics)

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
        return tell(metrics)

    def step(inputs: StepInputs, index: tf.Tensor | int) -> tf.Tensor:
        """`[n+f]`: scalars and stop flags of one step."""
        # All replicas have the same, so the first one's will do.
        told = strategy.run(replica_step, args=(inputs, index))
        return strategy.experimental_local_results(told)[0]

    @tf.function(autograph=False)
    def train_step(inputs: StepInputs) -> tf.Tensor:
        if inputs.alpha.shape[0] == 1:
            return step(inputs, 0)[tf.newaxis]
        # A loop around the replicas, so that the step is in the graph, and compiled, only once.
        _, told = tf.while_loop(
            lambda index, _: index < inputs.count,
            lambda index, told: (index + 1, told.write(index, step(inputs, index))),
            [0, tf.TensorArray(tf.float32, size=inputs.count)],
            parallel_iterations=1,
        )
        return told.stack()

    return TrainStep(train_step, names)


def uses_xla(config: TrainConfig) -> bool:
    """Whether gradients are compiled: by default on GPUs, but for batch norm's exchange."""
    if config.run.jit_compile == "auto":
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        return has_gpu and not config.network.normalizes_batches
    return config.run.jit_compile == "on"


def _over_replicas(metrics: Metrics, stop_flags: tf.Tensor) -> tf.Tensor:
    """`[n+f]`: means of scalars and sums of stop flags over all replicas, in one exchange."""
    context = tf.distribute.get_replica_context()
    means = tf.stack(list(metrics.values())) / context.num_replicas_in_sync
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([means, stop_flags], axis=0))
