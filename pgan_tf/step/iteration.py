"""One iteration on one replica: a discriminator step, the moving average, a generator step."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pgan_tf.config import LossConfig, StepKind, TrainConfig
from pgan_tf.distribution.strategy import all_reduce
from pgan_tf.step.compilation import Compilation
from pgan_tf.step.discriminator_noise import update_real_score
from pgan_tf.step.gradients import (
    discriminator_gradients,
    generator_gradients,
    gradient_norm_scale,
    penalty_gradients,
    simultaneous_gradients,
)
from pgan_tf.step.inputs import IterationInputs
from pgan_tf.step.optimizer import Rates, Update, apply_gradients, average_decay, update_average
from pgan_tf.step.outputs import Scalars
from pgan_tf.step.passes import Passes
from pgan_tf.step.program import Programs
from pgan_tf.step.train_state import TrainState


class Iteration:
    """One iteration of a stage, as each replica runs it inside the graph of a `TrainStep`.

    Args:
      state: networks, optimizers and averages, which it updates.
      config: of the stage (`TrainConfig.at_stage`).
      resolution: of the stage.
      fading: whether the stage fades in, so that alpha and the lower resolution take part.
      kind: of the iteration.
      compilation: extent of the programs that it is compiled to.
      programs: takes the programs of `Compilation.PARTS`.
      local_replicas: number of replicas that share this process's cores.
    """

    def __init__(
        self,
        state: TrainState,
        config: TrainConfig,
        *,
        resolution: int,
        fading: bool,
        kind: StepKind,
        compilation: Compilation,
        programs: Programs,
        local_replicas: int,
    ):
        self._state = state
        self._config = config
        self._resolution = resolution
        self._kind = kind
        self._takes_lazy_penalty = config.loss.is_lazy and kind.penalizes
        self._compilation = compilation
        self._programs = programs
        self._passes = Passes(
            state,
            config,
            resolution=resolution,
            fading=fading,
            is_compiled=compilation is not Compilation.NONE,
            local_replicas=local_replicas,
        )
        self._norm_scale = gradient_norm_scale(
            config.loss, resolution, config.network.final_resolution
        )
        self._generator_variables = state.generator.trainable_variables_at(
            resolution, fading=fading
        )
        self._discriminator_variables = state.discriminator.trainable_variables_at(
            resolution, fading=fading, highest=config.highest_in_discriminator
        )
        self._averaged_variables = state.generator.variables_at(resolution, fading=fading)
        self._averages = state.ema_generator.variables_at(resolution, fading=fading)

    def __call__(self, inputs: IterationInputs) -> Scalars:
        """Train one batch.

        Args:
          inputs: of this replica.

        Returns:
          This replica's scalars: those of `scalar_names`.
        """
        simultaneous = self._config.optimizer.simultaneous_updates
        step = self._simultaneous_steps if simultaneous else self._discriminator_step
        scalars = step(inputs)
        if self._takes_lazy_penalty:
            scalars |= self._penalty_step(scalars, inputs)
        if self._kind.trains_generator and not simultaneous:
            scalars |= self._generator_step(inputs)
        return scalars

    def _discriminator_step(self, inputs: IterationInputs) -> Scalars:
        gradients, scalars = self._program(lambda: self._discriminator_gradients(inputs))
        gradients, followed = _mean(gradients), self._followed_means(scalars)
        return scalars | self._program(
            lambda: self._update_discriminator(gradients, followed, inputs)
        )

    def _penalty_step(self, scalars: Scalars, inputs: IterationInputs) -> Scalars:
        """Update the discriminator once more, by the penalty alone.

        Args:
          scalars: of its step.
          inputs: of the iteration.
        """
        gradients, penalties = self._program(lambda: self._penalty_gradients(inputs))
        gradients = _mean(gradients)
        skipped = scalars["updates/discriminator_skipped"]
        return penalties | self._program(
            lambda: self._update_by_penalty(gradients, skipped, inputs)
        )

    def _generator_step(self, inputs: IterationInputs) -> Scalars:
        gradients, scalars = self._program(lambda: self._generator_gradients(inputs))
        gradients = _mean(gradients)
        return scalars | self._program(lambda: self._update_generator(gradients, inputs))

    def _simultaneous_steps(self, inputs: IterationInputs) -> Scalars:
        """Take both networks' gradients in one pass, before either network is updated."""
        for_generator, for_discriminator, scalars = self._program(
            lambda: self._simultaneous_gradients(inputs)
        )
        for_generator, for_discriminator = _mean(for_generator), _mean(for_discriminator)
        followed = self._followed_means(scalars)
        return scalars | self._program(
            lambda: (
                self._update_discriminator(for_discriminator, followed, inputs)
                | self._update_generator(for_generator, inputs)
            )
        )

    def _program(self, compute: Callable[[], Any]) -> Any:
        """Compute what lies between two exchanges, compiled if the iteration is not as a whole."""
        is_program = self._compilation is Compilation.PARTS
        return self._programs.compiled(compute)() if is_program else compute()

    def _discriminator_gradients(self, inputs: IterationInputs) -> tuple[list[tf.Tensor], Scalars]:
        gradients, scalars = self._gradients_by_discriminator(discriminator_gradients, inputs)
        return gradients, scalars | self._passes.validation_scalars(inputs)

    def _penalty_gradients(self, inputs: IterationInputs) -> tuple[list[tf.Tensor], Scalars]:
        return self._gradients_by_discriminator(penalty_gradients, inputs)

    def _gradients_by_discriminator(
        self, function: Callable[..., Any], inputs: IterationInputs
    ) -> tuple[list[tf.Tensor], Scalars]:
        compute = functools.partial(
            function,
            self._passes.generator(inputs),
            variables=self._discriminator_variables,
            config=self._losses(inputs),
            norm_scale=self._norm_scale,
            loss_scale=self._state.discriminator_loss_scale,
        )
        return self._passes.of_discriminator_step(compute, inputs)

    def _generator_gradients(self, inputs: IterationInputs) -> tuple[list[tf.Tensor], Scalars]:
        compute = functools.partial(
            generator_gradients,
            self._passes.generator(inputs),
            variables=self._generator_variables,
            config=self._losses(inputs),
            loss_scale=self._state.generator_loss_scale,
        )
        return self._passes.of_generator_step(compute, inputs)

    def _simultaneous_gradients(
        self, inputs: IterationInputs
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], Scalars]:
        compute = functools.partial(
            simultaneous_gradients,
            self._passes.generator(inputs),
            generator_variables=self._generator_variables,
            discriminator_variables=self._discriminator_variables,
            config=self._losses(inputs),
            norm_scale=self._norm_scale,
            generator_loss_scale=self._state.generator_loss_scale,
            discriminator_loss_scale=self._state.discriminator_loss_scale,
        )
        *gradients, scalars = self._passes.of_discriminator_step(compute, inputs)
        return *gradients, scalars | self._passes.validation_scalars(inputs)

    def _losses(self, inputs: IterationInputs) -> LossConfig:
        return self._config.loss.with_gammas(
            self._resolution,
            final_resolution=self._config.network.final_resolution,
            batch_size=inputs.global_batch_size,
            base=self._config.network.base,
        )

    def _followed_means(self, scalars: Scalars) -> Scalars:
        """Return the means over all replicas of scalars that the state follows."""
        followed = []
        if self._state.real_score is not None:
            followed += ["scores/real"]
        if self._state.augmentation is not None:
            followed += self._state.augmentation.follows
        return {name: _mean(scalars[name]) for name in dict.fromkeys(followed)}

    def _update_discriminator(
        self, gradients: Sequence[tf.Tensor], followed: Scalars, inputs: IterationInputs
    ) -> Scalars:
        update = self._apply_to_discriminator(gradients, inputs)
        scalars = {
            "updates/discriminator_skipped": update.skipped,
            "updates/discriminator_gradient_norm": update.gradient_norm,
        }
        if self._state.real_score is not None:
            update_real_score(self._state.real_score, followed["scores/real"])
        if self._state.augmentation is not None:
            scalars |= self._state.augmentation.update(followed, inputs.global_batch_size)
        self._update_average(inputs, after="discriminator_step")
        for average in self._state.power_averages:
            average.update(self._averaged_variables, inputs.images_seen, inputs.global_batch_size)
        if self._config.augment.has_strength:
            scalars["augment/p"] = self._passes.augmentation_strength(inputs)
        return scalars

    def _update_by_penalty(
        self, gradients: Sequence[tf.Tensor], skipped: tf.Tensor, inputs: IterationInputs
    ) -> Scalars:
        update = self._apply_to_discriminator(gradients, inputs)
        return {"updates/discriminator_skipped": tf.maximum(skipped, update.skipped)}

    def _apply_to_discriminator(
        self, gradients: Sequence[tf.Tensor], inputs: IterationInputs
    ) -> Update:
        rates = self._rates(inputs)
        if self._config.loss.is_lazy:
            rates = rates.for_smaller_steps(self._config.loss.lazy_correction)
        return apply_gradients(
            self._state.discriminator_optimizer,
            gradients,
            self._discriminator_variables,
            rates,
            self._state.discriminator_loss_scale,
        )

    def _update_generator(self, gradients: Sequence[tf.Tensor], inputs: IterationInputs) -> Scalars:
        update = apply_gradients(
            self._state.generator_optimizer,
            gradients,
            self._generator_variables,
            self._rates(inputs),
            self._state.generator_loss_scale,
        )
        self._update_average(inputs, after="generator_step")
        return {
            "updates/generator_skipped": update.skipped,
            "updates/generator_gradient_norm": update.gradient_norm,
        }

    def _rates(self, inputs: IterationInputs) -> Rates:
        optimizer = self._config.optimizer
        return Rates(inputs.learning_rate, optimizer.adam_beta1, optimizer.adam_beta2)

    def _update_average(self, inputs: IterationInputs, *, after: str) -> None:
        """Update the moving average of the generator, if it is due after this step."""
        due = self._config.optimizer.ema_update
        # An average that is off is a copy of the generator.
        if after != ("generator_step" if due == "off" else due):
            return
        decay = average_decay(
            self._config.optimizer, inputs.images_seen, batch_size=inputs.global_batch_size
        )
        update_average(self._averages, self._averaged_variables, decay=decay)


def _mean(values: Any) -> Any:
    return all_reduce(tf.distribute.ReduceOp.MEAN, values)
