"""Outputs of a call of the training step: the scalars that training logs, and stop flags."""

import dataclasses

import numpy as np
import tensorflow as tf

from pgan_tf.config import FULL_STEP, StepKind, TrainConfig
from pgan_tf.distribution.strategy import all_reduce
from pgan_tf.step.adversarial import adversarial_loss

# A replica's scalars of one iteration by name.
Scalars = dict[str, tf.Tensor]


def scalar_names(config: TrainConfig, kind: StepKind = FULL_STEP) -> tuple[str, ...]:
    """Return the names of an iteration's scalars, in the order of `StepResult.names`.

    Args:
      config: with `label_size` known.
      kind: of the iteration.
    """
    loss = adversarial_loss(config.loss)
    names = ["scores/real", "scores/fake"]
    if loss.logits is not None:
        names += ["scores/real_sign"]
    if config.follows_validation:
        names += ["scores/validation"]
    for penalty in loss.penalties if kind.penalizes else ():
        names += [penalty.norm_name, penalty.cost_name]
    if loss.drift is not None:
        names += ["loss/drift"]
    if config.network.label_size:
        names += ["loss/label_real", "loss/label_fake"]
    names += ["loss/discriminator"]
    names += ["updates/discriminator_skipped", "updates/discriminator_gradient_norm"]
    if config.augment.has_strength:
        names += ["augment/p"]
    if config.augment.adapts:
        names += [f"augment/{config.resolved_augment_signal}"]
    if kind.trains_generator:
        if config.network.label_size:
            names += ["loss/label_generator"]
        names += ["loss/generator", "updates/generator_skipped", "updates/generator_gradient_norm"]
    return tuple(names)


def reduce_outputs(names: tuple[str, ...], scalars: Scalars, stop_flags: tf.Tensor) -> tf.Tensor:
    """Return the scalars and stop flags of all replicas as one vector, after one all-reduce.

    Args:
      names: of the n scalars, in order.
      scalars: this replica's, by name; those of `names` and no others.
      stop_flags: `[f]`, this replica's.

    Returns:
      `[n+f]` float32, the same on all replicas: means of the scalars, then sums of the stop flags.
    """
    if scalars.keys() != set(names):
        raise ValueError(f"scalars must be {sorted(names)}. Received: {sorted(scalars)}")
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    means = tf.stack([scalars[name] for name in names]) / replicas
    return all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([means, stop_flags], axis=0))


@dataclasses.dataclass(frozen=True)
class StepResult:
    """Outputs of all iterations of a call, the same on every worker.

    They stay on the device until they are looked at, which waits for the device.

    Attributes:
      names: of the n scalars of an iteration (`scalar_names`).
      tensor: `[count n+f]` float32, a row of `reduce_outputs` for each iteration; an array once it
        has been read.
    """

    names: tuple[str, ...]
    tensor: tf.Tensor | np.ndarray

    def read(self) -> "StepResult":
        """Return the result in host memory, after one transfer. Waits for the device."""
        return dataclasses.replace(self, tensor=np.asarray(self.tensor))

    @property
    def scalars(self) -> np.ndarray:
        """`[count n]`, means over the global batch."""
        return np.asarray(self.tensor)[:, : len(self.names)]

    @property
    def last_scalars(self) -> dict[str, float]:
        """Scalars of the last iteration by name."""
        return dict(zip(self.names, self.scalars[-1].tolist(), strict=True))

    @property
    def stop_flags(self) -> np.ndarray:
        """`[f]`, sums over all replicas: above 0 where any worker has received the signal."""
        return np.asarray(self.tensor)[-1, len(self.names) :]
