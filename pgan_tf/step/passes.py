"""Passes through both networks in an iteration: what they are given, with which noise."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pgan_tf.augmentation.pipeline import make_pipeline
from pgan_tf.config import TrainConfig
from pgan_tf.distribution.strategy import own_samples
from pgan_tf.step.adversarial import adversarial_loss
from pgan_tf.step.augmented import augmentation_noise, augmented, fixed_strength
from pgan_tf.step.discriminator_noise import FeatureNoise, noise_strength
from pgan_tf.step.gradients import BoundDiscriminator, BoundGenerator
from pgan_tf.step.inputs import IterationInputs
from pgan_tf.step.microbatches import in_microbatches
from pgan_tf.step.noise import (
    DISCRIMINATOR_STEP,
    GENERATOR_STEP,
    VALIDATION_PASS,
    PassStreams,
    RandomStream,
    normal,
    uniform,
)
from pgan_tf.step.outputs import Scalars
from pgan_tf.step.reals import prepare_reals
from pgan_tf.step.train_state import TrainState


class Passes:
    """Passes through the networks at a stage, on one replica, at once or in microbatches.

    Args:
      state: networks, and the averages that strengths of noise and augmentation follow.
      config: of the stage (`TrainConfig.at_stage`).
      resolution: of the stage.
      fading: whether the stage fades in, so that alpha and the lower resolution take part.
      is_compiled: whether passes become part of programs of XLA's.
      local_replicas: number of replicas that share this process's cores.
    """

    def __init__(
        self,
        state: TrainState,
        config: TrainConfig,
        *,
        resolution: int,
        fading: bool,
        is_compiled: bool,
        local_replicas: int,
    ):
        self._state = state
        self._config = config
        self._resolution = resolution
        self._fading = fading
        self._is_compiled = is_compiled
        self._local_replicas = local_replicas
        self._has_labels = config.network.label_size > 0
        self._compares = adversarial_loss(config.loss).compares
        self._pipeline = make_pipeline(
            config.augment,
            resolution=resolution,
            image_shape=(*config.network.image_size(resolution), config.network.channels),
            is_compiled=is_compiled,
        )

    def generator(self, inputs: IterationInputs) -> BoundGenerator:
        """Return the generator at the stage."""
        return functools.partial(
            self._state.generator,
            resolution=self._resolution,
            alpha=self._alpha(inputs),
            training=True,
        )

    def of_discriminator_step(self, compute: Callable[..., Any], inputs: IterationInputs) -> Any:
        """Call a function on the discriminator and the reals, fakes' latents and so on of its step.

        Args:
          compute: takes `discriminator`, `reals`, `labels`, `latents` and `mixing` by name; returns
            means over samples (`in_microbatches`).
          inputs: of the iteration.
        """
        batch_size = inputs.images.shape[0]
        batch = {
            "reals": self._reals(inputs),
            "labels": inputs.labels if self._has_labels else None,
            "latents": self._latents(inputs, RandomStream.DISCRIMINATOR_LATENTS),
            "mixing": uniform([batch_size, 1, 1, 1], inputs.seed(RandomStream.MIXING)),
        }
        return self._on_batch(compute, inputs, batch, batch_size, DISCRIMINATOR_STEP)

    def of_generator_step(self, compute: Callable[..., Any], inputs: IterationInputs) -> Any:
        """Call a function on the discriminator and the latents and labels of the generator's step.

        Args:
          compute: takes `discriminator`, `reals`, `labels` and `latents` by name; returns means
            over samples (`in_microbatches`).
          inputs: of the iteration.
        """
        batch = {
            "reals": self._reals(inputs) if self._compares else None,
            "labels": inputs.fake_labels if self._has_labels else None,
            "latents": self._latents(inputs, RandomStream.GENERATOR_LATENTS),
        }
        return self._on_batch(compute, inputs, batch, inputs.images.shape[0], GENERATOR_STEP)

    def validation_scalars(self, inputs: IterationInputs) -> Scalars:
        """Return the mean score of the iteration's held-out images, if augmentation follows it.

        They are prepared and augmented as reals are. There is no gradient of it.
        """
        if not self._config.follows_validation:
            return {}
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        shards = self._config.validation_batch(inputs.global_batch_size, replicas=replicas).shards
        # As float32, which every device can gather.
        images = own_samples(tf.cast(inputs.validation_images, tf.float32), shards)
        data = self._config.data
        mirror, dequantize = RandomStream.VALIDATION_MIRROR, RandomStream.VALIDATION_DEQUANTIZE
        batch = {
            "images": prepare_reals(
                images,
                self._alpha(inputs),
                mirror_seed=inputs.seed(mirror) if data.mirror_augment else None,
                dequantize_seed=inputs.seed(dequantize) if data.dequantize else None,
                shards=shards,
                bits=self._config.network.bits,
            )
        }
        score = self._on_batch(
            _mean_score, inputs, batch, images.shape[0], VALIDATION_PASS, shards=shards
        )
        return {"scores/validation": score}

    def augmentation_strength(self, inputs: IterationInputs) -> tf.Tensor:
        """Return the strength p of augmentation in an iteration, a scalar."""
        if self._state.augmentation is not None:
            return self._state.augmentation.value()
        return fixed_strength(self._config.augment, inputs.images_seen)

    def _on_batch(
        self,
        compute: Callable[..., Any],
        inputs: IterationInputs,
        batch: dict[str, Any],
        batch_size: int,
        streams: PassStreams,
        *,
        shards: int | None = None,
    ) -> Any:
        """Call `compute` on a discriminator and tensors `[b ...]`, at once or in microbatches."""
        discriminator = self._discriminator(inputs, streams.features, shards)
        if self._pipeline is None:
            compute = functools.partial(compute, discriminator=discriminator)
        else:
            strength = self.augmentation_strength(inputs)
            compute = augmented(compute, discriminator, self._pipeline, strength)
            batch["noise"] = augmentation_noise(
                self._pipeline,
                batch_size,
                inputs.seed(streams.augmentation),
                num_minibatches=streams.num_minibatches,
                shards=shards,
            )
        split = in_microbatches(
            compute,
            self._config,
            batch_size,
            is_compiled=self._is_compiled,
            local_replicas=self._local_replicas,
        )
        return split(**batch)

    def _discriminator(
        self, inputs: IterationInputs, stream: RandomStream, shards: int | None
    ) -> BoundDiscriminator:
        """Return the discriminator for the images of one step: reals, fakes, and points between.

        Args:
          inputs: of the iteration.
          stream: of the noise in its features, if the network has any.
          shards: number of different shards of the images; None: one for each replica.
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
        noise = FeatureNoise(strength, inputs.seed(stream), shards)
        return functools.partial(discriminator, noise=noise)

    def _reals(self, inputs: IterationInputs) -> tf.Tensor:
        data = self._config.data
        return prepare_reals(
            inputs.images,
            self._alpha(inputs),
            mirror_seed=inputs.seed(RandomStream.MIRROR) if data.mirror_augment else None,
            dequantize_seed=inputs.seed(RandomStream.DEQUANTIZE) if data.dequantize else None,
            bits=self._config.network.bits,
        )

    def _latents(self, inputs: IterationInputs, stream: RandomStream) -> tf.Tensor:
        shape = [inputs.images.shape[0], self._config.network.resolved_latent_size]
        return normal(shape, inputs.seed(stream))

    def _alpha(self, inputs: IterationInputs) -> tf.Tensor | None:
        return inputs.alpha if self._fading else None


def _mean_score(discriminator: BoundDiscriminator, *, images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(discriminator(images).scores)
