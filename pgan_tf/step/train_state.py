"""The training state: everything that training changes."""

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.step.loss_scale import NO_LOSS_SCALE, DynamicLossScale, LossScale
from pgan_tf.step.optimizer import Adam


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
      generator_optimizer: Adam, built for all variables of the generator.
      discriminator_optimizer: Adam, built for all variables of the discriminator.
      real_score: moving average of the scores of reals, which the strength of
        `discriminator_noise` follows; None without that noise.
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
            self.generator_optimizer = _adam(
                config, "generator_adam", self.generator.trainable_variables
            )
            self.discriminator_optimizer = _adam(
                config, "discriminator_adam", self.discriminator.trainable_variables
            )
            self.real_score = None
            if config.network.discriminator_noise:
                self.real_score = keras.Variable(0.0, trainable=False, name="real_score")
            self.generator_loss_scale = _loss_scale(config, "generator_loss")
            self.discriminator_loss_scale = _loss_scale(config, "discriminator_loss")
        for name, variable in self.ema_generator.variables.items():
            variable.assign(self.generator.variables[name])
        self._images_seen = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._phase_index = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._rollbacks = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def images_seen(self) -> int:
        """Real images shown to the discriminator."""
        return int(self._images_seen.numpy())

    @images_seen.setter
    def images_seen(self, value: int) -> None:
        # From an array: TensorFlow caches a tensor for every Python number, and never frees it.
        self._images_seen.assign(np.array(value, np.int64))

    @property
    def phase_index(self) -> int:
        """Index of the phase that the optimizers' moments belong to."""
        return int(self._phase_index.numpy())

    @property
    def rollbacks(self) -> int:
        """Times that training has gone back to a checkpoint because updates were not finite."""
        return int(self._rollbacks.numpy())

    @rollbacks.setter
    def rollbacks(self, value: int) -> None:
        self._rollbacks.assign(value)

    @property
    def noise_seed(self) -> int:
        """Seed of all random numbers of a step: the run's seed, changed by each rollback."""
        return self._seed + (self.rollbacks << 31)  # seeds are below 2^31

    def enter_phase(self, index: int, *, reset_optimizers: bool) -> None:
        """Set the phase, and reset both optimizers.

        Args:
          index: of the phase (`Phase.index`).
          reset_optimizers: whether to clear Adam's moments and step counts, as the original does
            when a fade begins and when it ends.
        """
        self._phase_index.assign(index)
        if reset_optimizers:
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
                # The learning rate is among them. It is not used: each step is given its own.
                for variable in optimizer.variables:
                    variable.assign(tf.zeros_like(variable.value))

    def variables(self) -> dict[str, tf.Variable]:
        """Return every variable by its name in checkpoints."""
        # Checkpoints of the objects themselves would silently lack Keras layers in lists or dicts,
        # and would restore optimizers by position.
        named = {
            f"{network.name}/{path}": variable.value
            for network in (self.generator, self.discriminator, self.ema_generator)
            for path, variable in network.variables.items()
        }
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            named.update({v.path: v.value for v in optimizer.variables})
        if self.real_score is not None:
            named["real_score"] = self.real_score.value
        for loss_scale in (self.generator_loss_scale, self.discriminator_loss_scale):
            named.update({v.name.partition(":")[0]: v for v in loss_scale.variables})
        counters = {
            "images_seen": self._images_seen,
            "phase_index": self._phase_index,
            "rollbacks": self._rollbacks,
        }
        return {**named, **counters}


def _adam(config: TrainConfig, name: str, variables: dict[str, keras.Variable]) -> Adam:
    optimizer = Adam(
        beta_1=config.optimizer.adam_beta1,
        beta_2=config.optimizer.adam_beta2,
        epsilon=config.optimizer.adam_epsilon,
        name=name,
    )
    optimizer.build(list(variables.values()))
    return optimizer


def _loss_scale(config: TrainConfig, name: str) -> LossScale:
    return DynamicLossScale(name) if config.run.precision == "mixed_float16" else NO_LOSS_SCALE
