"""The way of batches from the data to the replicas, and the pace of the threads that read them."""

import contextlib
import dataclasses
import functools
import itertools
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from pgan_tf.config import StepKind
from pgan_tf.config.intervals import group_into_calls, max_call_length
from pgan_tf.config.phases import Phase, Step
from pgan_tf.data.batches import Batch
from pgan_tf.data.dataset import read_batches
from pgan_tf.data.held_out import ValidationImages
from pgan_tf.data.memory.host_images import stacked_images
from pgan_tf.data.memory.read_ahead import take_ahead
from pgan_tf.data.order import Shard
from pgan_tf.data.worker_data import WorkerData
from pgan_tf.distribution.strategy import is_on_gpus, local_replicas
from pgan_tf.step.inputs import IterationInputs, StepInputs
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.prepare import PreparedRun

Item = TypeVar("Item")

# Calls whose batches wait on a GPU: one for the next call, one that is being copied.
_CALLS_ON_DEVICES = 2

# Most inputs of a call, such as alpha, are those of the call before it: as many tensors are kept.
_CONSTANTS_KEPT = 16

# How long the training loop waits for Python's interpreter while other threads read batches.
# Python's default, 5 ms, is longer than a short step takes.
_SWITCH_SECONDS = 1e-4


@dataclasses.dataclass(frozen=True)
class Call:
    """The steps that one call of a graph takes, of one phase.

    Attributes:
      steps: at least one.
      inputs: of the call, on the devices, without stop flags.
      data_wait: seconds that training waited for the batches.
    """

    steps: Sequence[Step]
    inputs: StepInputs
    data_wait: float

    @property
    def last_step(self) -> Step:
        """The last of the steps."""
        return self.steps[-1]

    def inputs_with(self, stop_flags: Sequence[float]) -> StepInputs:
        """Return the inputs with one flag for each signal: 1.0 if this worker has received it."""
        flags = _constant(tuple(stop_flags), np.float32)
        return self.inputs._replace(iterations=self.inputs.iterations._replace(stop_flags=flags))


@contextlib.contextmanager
def feed(run: PreparedRun, state: TrainState) -> Iterator[Iterator[Call]]:
    """Read the batches of all calls from the state's `images_seen` on, and copy them to devices.

    The context's value iterates over the calls. On GPUs, batches wait before the call that needs
    them, copied there by another thread.

    The first call is ready when the context begins, so that its reads, which open files and
    allocate memory for all others, are not counted as waiting.

    Args:
      run: the run; each worker reads its own shard of every batch.
      state: for the point of the schedule and the seed of the noise, which must stay the same.

    Raises:
      UserError: a record is damaged. The iterator raises it too.
    """
    batches = read_own_batches(run, run.schedule.steps(state.images_seen))
    on_gpus = is_on_gpus(run.strategy)
    groups = group_into_calls(batches, run.config, on_gpus=on_gpus)
    place = functools.partial(_place, run, state)
    with contextlib.ExitStack() as stack:
        stack.callback(batches.close)
        if on_gpus:
            placed = stack.enter_context(
                contextlib.closing(take_ahead(map(place, groups), count=_CALLS_ON_DEVICES))
            )
            calls = _with_waits(placed, lambda call: call)
        else:
            calls = _with_waits(groups, place)
        first = list(itertools.islice(calls, 1))
        yield itertools.chain(first, calls)


def read_own_batches(
    run: PreparedRun, steps: Iterable[Step]
) -> Generator[tuple[Step, Batch], None, None]:
    """Read this worker's shard of the batch of every step.

    Raises:
      UserError: a record is damaged, or can't be read.
    """
    config, scored = run.config, None
    if config.follows_validation:
        scored = ValidationImages(
            run.pyramid,
            config.data.validation_images,
            seed=config.run.seed,
            size_of=lambda size: config.validation_batch(size, replicas=run.replicas).size,
        )
    data = WorkerData(
        run.pyramid,
        seed=config.run.seed,
        label_size=config.network.label_size,
        shard=Shard(run.cluster.index, run.cluster.count),
        validation_images=config.data.validation_images,
        scored=scored,
    )
    return read_batches(data, steps)


def _place(run: PreparedRun, state: TrainState, batches: Sequence[tuple[Step, Batch]]) -> Call:
    """Copy the batches of a call to the replicas."""
    steps = [step for step, _ in batches]
    length = _call_length(run, steps[-1].phase, run.config.step_kind(steps[-1].number))
    inputs = to_replicas(run.strategy, state, batches, steps_per_call=length)
    return Call(steps, inputs, data_wait=0.0)


def blank_inputs(
    run: PreparedRun,
    state: TrainState,
    phase: Phase,
    kind: StepKind,
    *,
    stop_flags: Sequence[float],
) -> StepInputs:
    """Return inputs of a phase's calls without images, to build their graph."""
    level = run.pyramid.level(phase.resolution)
    count = phase.batch_size // run.cluster.count
    labels = np.zeros((count, run.config.network.label_size), np.float32)
    scored = run.config.validation_batch(phase.batch_size, replicas=run.replicas).size
    batch = Batch(
        np.zeros((count, *level.shape), level.dtype),
        labels,
        labels,
        np.zeros((scored, *level.shape), level.dtype) if scored else None,
    )
    step = Step(phase, phase.start, phase.alpha(phase.start), phase.learning_rate)
    length = _call_length(run, phase, kind)
    return to_replicas(
        run.strategy, state, [(step, batch)], steps_per_call=length, stop_flags=stop_flags
    )


def _call_length(run: PreparedRun, phase: Phase, kind: StepKind) -> int:
    on_gpus = is_on_gpus(run.strategy)
    return max_call_length(run.config, phase, kind=kind, on_gpus=on_gpus)


def _with_waits(items: Iterator[Item], place: Callable[[Item], Call]) -> Iterator[Call]:
    """Yield calls made of items, with the seconds that each item was waited for."""
    while True:
        asked = time.monotonic()
        item = next(items, None)
        if item is None:
            return
        waited = time.monotonic() - asked
        yield dataclasses.replace(place(item), data_wait=waited)


def to_replicas(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    batches: Sequence[tuple[Step, Batch]],
    *,
    steps_per_call: int = 1,
    stop_flags: Sequence[float] = (),
) -> StepInputs:
    """Deal this worker's images out to its replicas, with the other inputs of a call.

    Args:
      strategy: the replicas.
      state: the state, for the seed of the noise.
      batches: the steps of the call, each with this worker's shard of its batch.
      steps_per_call: the number of steps that the inputs have room for. If there are fewer, the
        last one is repeated to fill the room, and not taken.
      stop_flags: one for each signal, 1.0 if this worker has received it.
    """
    padded = [*batches, *[batches[-1]] * (steps_per_call - len(batches))]
    steps, shards = [step for step, _ in padded], [shard for _, shard in padded]
    devices = strategy.extended.worker_devices
    local = local_replicas(strategy)

    def replica_inputs(context: tf.distribute.ReplicaContext) -> dict[str, tf.Tensor]:
        number = context.replica_id_in_sync_group % local
        # Copied to the replica's own device at once, not by way of the first GPU.
        with tf.device(devices[number]):
            tensors = {
                "images": stacked_images([shard.images[number::local] for shard in shards]),
                "labels": tf.constant(np.stack([s.labels[number::local] for s in shards])),
                "fake_labels": tf.constant(
                    np.stack([s.fake_labels[number::local] for s in shards])
                ),
            }
            scored = [s.validation_images for s in shards if s.validation_images is not None]
            return {**tensors, "validation_images": stacked_images(scored)} if scored else tensors

    iterations = IterationInputs(
        **strategy.experimental_distribute_values_from_function(replica_inputs),
        alpha=_constant(tuple(step.alpha for step in steps), np.float32),
        learning_rate=_constant(tuple(step.learning_rate for step in steps), np.float32),
        images_seen=_constant(tuple(step.images_seen for step in steps), np.int64),
        noise_seed=_constant(state.noise_seed, np.int64),
        stop_flags=_constant(tuple(stop_flags), np.float32),
    )
    return StepInputs(iterations, count=_constant(len(batches), np.int32))


@functools.lru_cache(_CONSTANTS_KEPT)
def _constant(value: float | tuple[float, ...], dtype: type) -> tf.Tensor:
    # From an array: TensorFlow keeps every Python number that it makes a tensor of, for good.
    return tf.constant(np.array(value, dtype))


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
