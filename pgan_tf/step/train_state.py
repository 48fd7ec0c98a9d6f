"""The training state: everything that training changes."""

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.config import OptimizerConfig, TrainConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.step.adaptive_strength import AdaptiveStrength
from pgan_tf.step.loss_scale import NO_LOSS_SCALE, DynamicLossScale, LossScale
from pgan_tf.step.optimizer import Adam
from pgan_tf.step.power_average import PowerAverage

# Counted in Python, because the host decides by them; variables hold them only in checkpoints.
_COUNTERS = ("images_seen", "phase_index", "rollbacks")


class TrainState:
    """The networks, the EMA generator, both optimizers and the counters.

    The names and shapes of its variables are the same at all stages.

    Args:
      config: with channels, labels and resolution filled in (`TrainConfig.for_data`).
      strategy: of the replicas, each of which holds a copy of the networks' variables.

    Attributes:
      generator: the generator in training.
      discriminator: the discriminator in training.
      ema_generator: generator whose weights are moving averages; it is sampled, saved and measured.
      power_averages: further averages of the generator's weights, one for each of `ema_lengths`.
      generator_optimizer: Adam, built for all variables of the generator.
      discriminator_optimizer: Adam, built for all variables of the discriminator.
      images_seen: real images shown to the discriminator, by the steps that have been started.
      phase_index: index of the phase that the optimizers' moments belong to.
      rollbacks: times that training has gone back to a checkpoint because updates were not finite.
      real_score: moving average of the scores of reals, which the strength of
        `discriminator_noise` follows; None without that noise.
      augmentation: strength of augmentation that adapts to overfitting; None if it does not.
      generator_loss_scale: dynamic with float16.
      discriminator_loss_scale: dynamic with float16.
    """

    def __init__(self, config: TrainConfig, strategy: tf.distribute.Strategy):
        self._seed, dtype = config.run.seed, config.run.precision
        seed = self._seed
        with strategy.scope():
            self.generator = Generator(config.network, seed=seed, dtype=dtype)
            self.discriminator = Discriminator(config.network, seed=seed, dtype=dtype)
            self.ema_generator = Generator(
                config.network, name="generator_ema", seed=seed, dtype=dtype
            )
            self.power_averages = tuple(
                PowerAverage(length, self.generator.variables)
                for length in config.optimizer.power_lengths
            )
            self.generator_optimizer = _adam(
                config.optimizer, "generator_adam", self.generator.trainable_variables
            )
            self.discriminator_optimizer = _adam(
                config.optimizer, "discriminator_adam", self.discriminator.trainable_variables
            )
            self.real_score = None
            if config.network.discriminator_noise:
                self.real_score = keras.Variable(0.0, trainable=False, name="real_score")
            self.augmentation = None
            if config.augment.adapts:
                self.augmentation = AdaptiveStrength(config.augment, config.resolved_augment_signal)
            self.generator_loss_scale = _loss_scale(config, "generator_loss")
            self.discriminator_loss_scale = _loss_scale(config, "discriminator_loss")
        for name, variable in self.ema_generator.variables.items():
            variable.assign(self.generator.variables[name])
        self.begin_power_averages()
        self.images_seen = self.phase_index = self.rollbacks = 0
        # On a GPU, each look at them would wait for all steps that have been started.
        with tf.device("CPU:0"):
            self._stored_counters = {
                name: tf.Variable(0, dtype=tf.int64, trainable=False) for name in _COUNTERS
            }

    @property
    def noise_seed(self) -> int:
        """Seed of all random numbers of a step: the run's seed, changed by each rollback."""
        return self._seed + (self.rollbacks << 31)  # seeds are below 2^31

    def begin_power_averages(self) -> None:
        """Let the power-function averages begin with the generator's weights."""
        for average in self.power_averages:
            average.copy(self.generator.variables)

    def enter_phase(self, index: int, *, reset_optimizers: bool) -> None:
        """Set the phase, and reset both optimizers.

        Args:
          index: of the phase (`Phase.index`).
          reset_optimizers: whether to clear Adam's moments and step counts, as the original does
            when a fade begins and when it ends.
        """
        self.phase_index = index
        if reset_optimizers:
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
                # The learning rate is among them. It is not used: each step is given its own.
                for variable in optimizer.variables:
                    variable.assign(tf.zeros_like(variable.value))

    def variables(self) -> dict[str, tf.Variable]:
        """Return every variable by its name in checkpoints.

        Those of the counters hold what `store_counters` has last stored.
        """
        # Checkpoints of the objects themselves would silently lack Keras layers in lists or dicts,
        # and would restore optimizers by position.
        named = {
            f"{network.name}/{path}": variable.value
            for network in (self.generator, self.discriminator, self.ema_generator)
            for path, variable in network.variables.items()
        }
        for average in self.power_averages:
            named.update({f"{average.name}/{p}": v.value for p, v in average.variables.items()})
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            named.update({v.path: v.value for v in optimizer.variables})
        if self.real_score is not None:
            named["real_score"] = self.real_score.value
        if self.augmentation is not None:
            named.update(self.augmentation.variables)
        for loss_scale in (self.generator_loss_scale, self.discriminator_loss_scale):
            named.update({v.name.partition(":")[0]: v for v in loss_scale.variables})
        return {**named, **self._stored_counters}

    def store_counters(self) -> None:
        """Store the counters in their variables, before these are saved or sent."""
        for name, variable in self._stored_counters.items():
            # From an array: TensorFlow caches a tensor for every Python number, and never frees it.
            variable.assign(np.array(getattr(self, name), np.int64))

    def load_counters(self) -> None:
        """Load the counters from their variables, after these have been restored or received."""
        for name, variable in self._stored_counters.items():
            setattr(self, name, int(variable.numpy()))


def _adam(config: OptimizerConfig, name: str, variables: dict[str, keras.Variable]) -> Adam:
    optimizer = Adam(epsilon=config.adam_epsilon, mixes_beta2=config.mixes_beta2, name=name)
    optimizer.build(list(variables.values()))
    return optimizer


def _loss_scale(config: TrainConfig, name: str) -> LossScale:
    return DynamicLossScale(name) if config.run.precision == "mixed_float16" else NO_LOSS_SCALE
