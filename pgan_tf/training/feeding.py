"""From a worker's part of a batch in host memory to what each replica's steps are given."""

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from pgan_tf.config.phases import Step
from pgan_tf.data.batches import Batch
from pgan_tf.data.memory.host_images import stacked_images
from pgan_tf.distribution.strategy import local_replicas
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.train_state import TrainState

# Most of what a call is told is what the call before it was told.
_CONSTANTS_KEPT = 16

# How long the training loop waits for Python's interpreter while other threads read batches.
# Python's default, 5 ms, is longer than a short step takes.
_SWITCH_SECONDS = 1e-4


@contextlib.contextmanager
def quick_thread_switches() -> Iterator[None]:
    """Let Python's threads take turns more often, as the training loop and its readers need.

    The interval holds for the whole process, so it is restored at the end.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def to_replicas(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    call: Sequence[tuple[Step, Batch]],
    *,
    steps_per_call: int = 1,
    stop_flags: Sequence[float] = (),
) -> StepInputs:
    """Deals a worker's images out to its replicas, and tells all of them what else steps need.

    Args:
      strategy: where the replicas run.
      state: for the seed of the noise.
      call: the iterations to be run in one call, with what this worker has read for each
        (`data.order.Shard`).
      steps_per_call: how many steps inputs are made for; the last is repeated to fill them.
      stop_flags: one for each signal, 1.0 if this worker has received it.
    """
    padded = [*call, *[call[-1]] * (steps_per_call - len(call))]
    steps, batches = [step for step, _ in padded], [batch for _, batch in padded]
    devices = strategy.extended.worker_devices
    local = local_replicas(strategy)

    def part(context: tf.distribute.ReplicaContext) -> tuple[tf.Tensor, ...]:
        number = context.replica_id_in_sync_group % local
        # Straight to where it is needed, not by way of the first GPU.
        with tf.device(devices[number]):
            images, labels, fake_labels = (
                [array[number::local] for array in arrays] for arrays in zip(*batches, strict=True)
            )
            return (
                stacked_images(images),
                tf.constant(np.stack(labels)),
                tf.constant(np.stack(fake_labels)),
            )

    images, labels, fake_labels = strategy.experimental_distribute_values_from_function(part)
    return StepInputs(
        images=images,
        labels=labels,
        fake_labels=fake_labels,
        alpha=_constant(tuple(step.alpha for step in steps), np.float32),
        learning_rate=_constant(tuple(step.learning_rate for step in steps), np.float32),
        images_seen=_constant(tuple(step.images_seen for step in steps), np.int64),
        count=_constant(len(call), np.int32),
        noise_seed=_constant(state.noise_seed, np.int64),
        stop_flags=_constant(tuple(stop_flags), np.float32),
    )


@functools.lru_cache(_CONSTANTS_KEPT)
def _constant(value: float | tuple[float, ...], dtype: type) -> tf.Tensor:
    # From an array: TensorFlow keeps every Python number that it makes a tensor of, for good.
    return tf.constant(np.array(value, dtype))
