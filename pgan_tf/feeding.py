"""From a worker's part of a batch in host memory to what each replica's step is given."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pgan_tf.data import Batch
from pgan_tf.distribution import local_replicas
from pgan_tf.schedule import Step
from pgan_tf.state import TrainState
from pgan_tf.step import StepInputs


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
    local = local_replicas(strategy)

    def split(array: np.ndarray) -> tf.Tensor:
        def part(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            return tf.constant(array[context.replica_id_in_sync_group % local :: local])

        return strategy.experimental_distribute_values_from_function(part)

    return StepInputs(
        images=split(batch.images),
        labels=split(batch.labels),
        fake_labels=split(batch.fake_labels),
        # From arrays: TensorFlow keeps every Python number that it makes a tensor of, for good.
        alpha=tf.constant(np.array(step.alpha, np.float32)),
        learning_rate=tf.constant(np.array(step.learning_rate, np.float32)),
        images_seen=tf.constant(np.array(step.images_seen, np.int64)),
        noise_seed=tf.constant(np.array(state.noise_seed, np.int64)),
        votes=tf.constant(np.array(votes, np.float32)),
    )
