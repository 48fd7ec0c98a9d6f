"""One iteration on one replica: a discriminator step, the moving average, a generator step."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.step.discriminator_noise import FeatureNoise, noise_strength, update_real_score
from pgan_tf.step.gradients import (
    BoundDiscriminator,
    BoundGenerator,
    discriminator_gradients,
    generator_gradients,
    gradient_norm_scale,
    simultaneous_gradients,
)
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.microbatches import count_microbatches, in_microbatches
from pgan_tf.step.noise import RandomStream, normal, uniform
from pgan_tf.step.optimizer import apply_gradients, update_average
from pgan_tf.step.outputs import Scalars
from pgan_tf.step.reals import prepare_reals
from pgan_tf.step.train_state import TrainState


class Iteration:
    """One iteration of a stage, as each replica runs it inside the graph of a `TrainStep`.

    Args:
      state: networks, optimizers and averages, which it updates.
      config: with channels, labels and resolution filled in (`TrainConfig.for_data`).
      resolution: of the stage.
      fading: whether the stage fades in, so that alpha and the lower resolution take part.
      trains_generator: False for a discriminator step that no generator step follows.
      local_replicas: number of replicas that share this process's cores.
    """

    def __init__(
        self,
        state: TrainState,
        config: TrainConfig,
        *,
        resolution: int,
        fading: bool,
        trains_generator: bool,
        local_replicas: int,
    ):
        self._state = state
        self._config = config
        self._resolution = resolution
        self._fading = fading
        self._trains_generator = trains_generator
        self._local_replicas = local_replicas
        self._has_labels = config.network.label_size > 0
        self._norm_scale = gradient_norm_scale(
            config.loss, resolution, config.network.final_resolution
        )
        self._generator_variables = state.generator.trainable_variables_at(
            resolution, fading=fading
        )
        self._discriminator_variables = state.discriminator.trainable_variables_at(
            resolution, fading=fading
        )
        self._averaged_variables = state.generator.variables_at(resolution, fading=fading)
        self._averages = state.ema_generator.variables_at(resolution, fading=fading)

    def __call__(self, inputs: StepInputs) -> Scalars:
        """Train one batch.

        Args:
          inputs: of this replica, for one iteration (`StepInputs.at`).

        Returns:
          This replica's scalars: those of `scalar_names`.
        """
        if self._config.optimizer.simultaneous_updates:
            return self._simultaneous_steps(inputs)
        scalars = self._discriminator_step(inputs)
        self._update_average(inputs, after="discriminator_step")
        if self._trains_generator:
            scalars |= self._generator_step(inputs)
            self._update_average(inputs, after="generator_step")
        return scalars

    def _discriminator_step(self, inputs: StepInputs) -> Scalars:
        compute = functools.partial(
            discriminator_gradients,
            self._generator(inputs),
            self._discriminator(inputs, RandomStream.DISCRIMINATOR_FEATURES),
            self._discriminator_variables,
            self._config.loss,
            norm_scale=self._norm_scale,
            loss_scale=self._state.discriminator_loss_scale,
        )
        gradients, scalars = self._on_batch(compute, self._discriminator_batch(inputs))
        return scalars | self._update_discriminator(gradients, scalars["scores/real"], inputs)

    def _generator_step(self, inputs: StepInputs) -> Scalars:
        compute = functools.partial(
            generator_gradients,
            self._generator(inputs),
            self._discriminator(inputs, RandomStream.GENERATOR_FEATURES),
            self._generator_variables,
            self._config.loss,
            loss_scale=self._state.generator_loss_scale,
        )
        gradients, scalars = self._on_batch(compute, self._generator_batch(inputs))
        return scalars | self._update_generator(gradients, inputs)

    def _simultaneous_steps(self, inputs: StepInputs) -> Scalars:
        """Take both networks' gradients in one pass, before either network is updated."""
        compute = functools.partial(
            simultaneous_gradients,
            self._generator(inputs),
            self._discriminator(inputs, RandomStream.DISCRIMINATOR_FEATURES),
            self._generator_variables,
            self._discriminator_variables,
            self._config.loss,
            norm_scale=self._norm_scale,
            generator_loss_scale=self._state.generator_loss_scale,
            discriminator_loss_scale=self._state.discriminator_loss_scale,
        )
        for_generator, for_discriminator, scalars = self._on_batch(
            compute, self._discriminator_batch(inputs)
        )
        scalars |= self._update_discriminator(for_discriminator, scalars["scores/real"], inputs)
        self._update_average(inputs, after="discriminator_step")
        scalars |= self._update_generator(for_generator, inputs)
        self._update_average(inputs, after="generator_step")
        return scalars

    def _on_batch(self, compute: Callable[..., Any], batch: dict[str, Any]) -> Any:
        """Call `compute` on tensors `[b ...]`: compiled, in microbatches, or as it is."""
        if uses_xla(self._config):
            return tf.function(compute, autograph=False, jit_compile=True)(**batch)
        count = count_microbatches(
            self._config, batch["latents"].shape[0], replicas=self._local_replicas
        )
        return in_microbatches(compute, count)(**batch)

    def _discriminator_batch(self, inputs: StepInputs) -> dict[str, Any]:
        data = self._config.data
        reals = prepare_reals(
            inputs.images,
            self._alpha(inputs),
            mirror_seed=inputs.seed(RandomStream.MIRROR) if data.mirror_augment else None,
            dequantize_seed=inputs.seed(RandomStream.DEQUANTIZE) if data.dequantize else None,
        )
        return {
            "reals": reals,
            "labels": inputs.labels if self._has_labels else None,
            "latents": self._latents(inputs, RandomStream.DISCRIMINATOR_LATENTS),
            "mixing": uniform([reals.shape[0], 1, 1, 1], inputs.seed(RandomStream.MIXING)),
        }

    def _generator_batch(self, inputs: StepInputs) -> dict[str, Any]:
        return {
            "labels": inputs.fake_labels if self._has_labels else None,
            "latents": self._latents(inputs, RandomStream.GENERATOR_LATENTS),
        }

    def _latents(self, inputs: StepInputs, stream: RandomStream) -> tf.Tensor:
        shape = [inputs.images.shape[0], self._config.network.resolved_latent_size]
        return normal(shape, inputs.seed(stream))

    def _alpha(self, inputs: StepInputs) -> tf.Tensor | None:
        return inputs.alpha if self._fading else None

    def _generator(self, inputs: StepInputs) -> BoundGenerator:
        return functools.partial(
            self._state.generator,
            resolution=self._resolution,
            alpha=self._alpha(inputs),
            training=True,
        )

    def _discriminator(self, inputs: StepInputs, stream: RandomStream) -> BoundDiscriminator:
        """Return the discriminator for the images of one step: reals, fakes, and points between.

        Args:
          inputs: of the iteration.
          stream: of the noise in its features, if the network has any.
        """
        discriminator = functools.partial(
            self._state.discriminator,
            resolution=self._resolution,
            alpha=self._alpha(inputs),
            training=True,
        )
        if self._state.real_score is None:
            return discriminator
        strength = noise_strength(self._config.network.discriminator_noise, self._state.real_score)
        return functools.partial(discriminator, noise=FeatureNoise(strength, inputs.seed(stream)))

    def _update_discriminator(
        self, gradients: Sequence[tf.Tensor], real_score: tf.Tensor, inputs: StepInputs
    ) -> Scalars:
        update = apply_gradients(
            self._state.discriminator_optimizer,
            gradients,
            self._discriminator_variables,
            inputs.learning_rate,
            self._state.discriminator_loss_scale,
        )
        if self._state.real_score is not None:
            update_real_score(self._state.real_score, real_score)
        return {
            "updates/discriminator_skipped": update.skipped,
            "updates/discriminator_gradient_norm": update.gradient_norm,
        }

    def _update_generator(self, gradients: Sequence[tf.Tensor], inputs: StepInputs) -> Scalars:
        update = apply_gradients(
            self._state.generator_optimizer,
            gradients,
            self._generator_variables,
            inputs.learning_rate,
            self._state.generator_loss_scale,
        )
        return {
            "updates/generator_skipped": update.skipped,
            "updates/generator_gradient_norm": update.gradient_norm,
        }

    def _update_average(self, inputs: StepInputs, *, after: str) -> None:
        """Update the moving average of the generator, if it is due after this step."""
        due = self._config.optimizer.ema_update
        # An average that is off is a copy of the generator.
        if after != ("generator_step" if due == "off" else due):
            return
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        decay = self._config.optimizer.ema_decay_at(inputs.images.shape[0] * replicas)
        update_average(self._averages, self._averaged_variables, decay=decay)


def uses_xla(config: TrainConfig) -> bool:
    """Return whether gradients are compiled with XLA.

    By default they are on GPUs, except with batch norm, whose exchange between replicas XLA can't
    compile.
    """
    if config.run.jit_compile == "auto":
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        return has_gpu and not config.network.normalizes_batches
    return config.run.jit_compile == "on"
