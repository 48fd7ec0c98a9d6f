"""Everything that training changes, in one place."""

import keras
import numpy as np
import tensorflow as tf

from pgan_tf.config import TrainConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.step.adam import Adam
from pgan_tf.step.loss_scale import LossScale, Unscaled


class TrainState:
    """The networks, the EMA generator, both optimizers and the counters.

    Its variables have the same names and shapes from the first step to the last, whatever the
    stage.

    Attributes:
      generator, discriminator: being trained.
      ema_generator: the moving average of the generator's weights; what is sampled, saved and
        measured.
      generator_optimizer, discriminator_optimizer: Adam.
      real_score: the moving average of the scores of reals; None without `discriminator_noise`,
        whose strength follows it.
      generator_loss_scale, discriminator_loss_scale: what losses are scaled by in float16.
      images_seen: real images shown to the discriminator; an int.
      phase_index: the phase whose gradients the optimizers' moments hold; an int.
      rollbacks: how often training went back to a checkpoint because updates were not finite; an
        int. Each time it goes on with other noise.
    """

    def __init__(self, config: TrainConfig, strategy: tf.distribute.Strategy):
        """
        Args:
          config: with what only the data can tell filled in (`TrainConfig.for_data`).
          strategy: where the variables live.
        """
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
        return int(self._images_seen.numpy())

    @images_seen.setter
    def images_seen(self, value: int) -> None:
        # From an array: TensorFlow keeps every Python number that it makes a tensor of, for good.
        self._images_seen.assign(np.array(value, np.int64))

    @property
    def phase_index(self) -> int:
        return int(self._phase_index.numpy())

    @property
    def rollbacks(self) -> int:
        return int(self._rollbacks.numpy())

    @rollbacks.setter
    def rollbacks(self, value: int) -> None:
        self._rollbacks.assign(value)

    @property
    def noise_seed(self) -> int:
        """Seed of everything that steps draw: the run's own until it has been rolled back."""
        return self._seed + (self.rollbacks << 31)  # seeds are below 2^31

    def enter_phase(self, index: int, *, reset_optimizers: bool) -> None:
        """Notes which phase trains from here on, and clears Adam's moments and step counts.

        Args:
          index: of the phase (`schedule.Phase.index`).
          reset_optimizers: whether to clear them, as the original does at every change of phase.
        """
        self._phase_index.assign(index)
        if reset_optimizers:
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
                # Its learning rate among them, which is not used: the schedule's is given each
                # step.
                for variable in optimizer.variables:
                    variable.assign(tf.zeros_like(variable.value))

    def variables(self) -> dict[str, tf.Variable]:
        """Every variable of the state by a name that says what it is, for checkpoints."""
        # Not the objects themselves: Keras layers held in lists or dicts vanish from
        # tf.train.Checkpoint without a word, and optimizers are restored by position.
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


def _loss_scale(config: TrainConfig, name: str) -> Unscaled:
    return LossScale(name) if config.run.precision == "mixed_float16" else Unscaled()
