"""From a worker's part of a batch in host memory to what each replica's step is given."""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pgan_tf.data import Batch
from pgan_tf.distribution import local_replicas
from pgan_tf.schedule import Step
from pgan_tf.state import TrainState
from pgan_tf.step import StepInputs

# Most of what a step is told is what the step before it was told.
_SCALARS_KEPT = 16


def to_replicas(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    step: Step,
    batch: Batch,
    *,
    votes: Sequence[float] = (),
) -> StepInputs:
    """Deals a worker's images out to its replicas, and tells all of them what else a step needs.

    Args:
      strategy: where the replicas run.
      state: for the seed of the noise.
      step: the iteration to be run.
      batch: what this worker has read for it (`data.Part`).
      votes: what this worker has to tell the others.
    """
    devices = strategy.extended.worker_devices
    local = local_replicas(strategy)

    def part(context: tf.distribute.ReplicaContext) -> tuple[tf.Tensor, ...]:
        number = context.replica_id_in_sync_group % local
        # Straight to where it is needed, not by way of the first GPU.
        with tf.device(devices[number]):
            return tuple(tf.constant(array[number::local]) for array in batch)

    images, labels, fake_labels = strategy.experimental_distribute_values_from_function(part)
    return StepInputs(
        images=images,
        labels=labels,
        fake_labels=fake_labels,
        alpha=_scalar(step.alpha, np.float32),
        learning_rate=_scalar(step.learning_rate, np.float32),
        images_seen=_scalar(step.images_seen, np.int64),
        noise_seed=_scalar(state.noise_seed, np.int64),
        votes=tf.constant(np.array(votes, np.float32)),
    )


@functools.lru_cache(_SCALARS_KEPT)
def _scalar(value: float, dtype: type) -> tf.Tensor:
    # From an array: TensorFlow keeps every Python number that it makes a tensor of, for good.
    return tf.constant(np.array(value, dtype))
