"""Training: the page to read first.

    flags -> config -> data, networks -> step -> loop -> checkpoints, summaries

A run is a walk through `Schedule.steps`. Everything random is a pure function of the seed and of
images_seen, so a run that is interrupted and started again takes the same walk.
"""

import contextlib
import dataclasses
import functools
import signal
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from pgan_tf.checkpoints import Checkpoints
from pgan_tf.checks import check_batches, fit_to_data, required
from pgan_tf.config import TrainConfig
from pgan_tf.data import Batch
from pgan_tf.dataset import how_it_is_read, open_data, read_batches
from pgan_tf.distribution import make_strategy
from pgan_tf.fine_tuning import begin_with_initial_networks, check_initial_networks
from pgan_tf.interrupts import Interrupts
from pgan_tf.reporting import Reporter
from pgan_tf.run_directory import RunDirectory
from pgan_tf.schedule import Schedule, Step
from pgan_tf.state import TrainState
from pgan_tf.step import Metrics, StepInputs, make_train_step
from pgan_tf.summaries import Summaries
from pgan_tf.training_data import TrainingData
from tfrecords_tools.errors import UserError


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a call of `train` ended.

    Attributes:
      images_seen: real images shown in all.
      interrupted_by: the signal that stopped it before its end, or None.
    """

    images_seen: int
    interrupted_by: signal.Signals | None


def train(config: TrainConfig) -> TrainResult:
    """Trains until `total_kimg`, or until SIGINT or SIGTERM, which save first.

    A run directory that exists is continued from its newest checkpoint.

    Raises:
      UserError: the data or the run directory do not fit the configuration.
    """
    required(config.data.data_dir, "data_dir")
    pyramid = open_data(config)
    run = RunDirectory(
        required(config.run.run_dir, "run_dir"), fractions=config.writes_within_a_kimg
    )
    config = fit_to_data(config, pyramid)
    schedule = Schedule(config.schedule, config.network.resolutions[-1])
    strategy = make_strategy(config.run.distribution, logical_cpus=config.run.logical_cpus)
    check_batches(schedule, config.network.stddev_group_size, strategy.num_replicas_in_sync)
    check_initial_networks(config, run)
    run.open(config, pyramid)
    with contextlib.closing(run):
        return _train(config, pyramid, run, schedule, strategy)


def _train(
    config: TrainConfig,
    pyramid: TrainingData,
    run: RunDirectory,
    schedule: Schedule,
    strategy: tf.distribute.Strategy,
) -> TrainResult:
    set_up_tensorflow(config)
    state = TrainState(config, strategy)
    checkpoints = Checkpoints(run.checkpoints, state, keep=config.run.keep_checkpoints)
    continued = checkpoints.restore()
    if not continued:
        begin_with_initial_networks(config, state)
    _announce(config, schedule, pyramid, strategy, state.images_seen)
    if state.images_seen >= schedule.total_images:
        return TrainResult(state.images_seen, None)
    summaries = Summaries(run, config, pyramid)
    summaries.forget_after(state.images_seen)
    reporter = Reporter(config, run, schedule, state, checkpoints, summaries)
    if not continued:
        reporter.begin(schedule.phases[0])

    @functools.lru_cache(maxsize=1)
    def train_step_at(resolution: int, fading: bool) -> Callable[[StepInputs], Metrics]:
        return make_train_step(state, config, strategy, resolution=resolution, fading=fading)

    with Interrupts() as interrupts, contextlib.closing(summaries):
        batches = read_batches(
            pyramid,
            schedule.steps(state.images_seen),
            seed=config.run.seed,
            label_size=config.network.label_size,
        )
        prepared = None
        try:
            for step, batch, data_wait in _timed(batches):
                started = time.monotonic()
                phase = step.phase
                if phase.index != state.phase_index:
                    reset = config.optimizer.reset_optimizer
                    state.enter_phase(phase.index, reset_optimizers=reset)
                train_step = train_step_at(phase.resolution, phase.fading)
                metrics = train_step(to_replicas(strategy, step, batch))
                state.images_seen = step.images_seen_after
                if prepared != phase.index:
                    prepared = phase.index
                    reporter.phase_prepared(phase, metrics, started)
                # Looked at once: a signal that comes while reports are written waits for the next.
                stopping = interrupts.received
                reporter.after_step(step, metrics, data_wait, stopping=stopping is not None)
                if stopping:
                    break
        except (UserError, OSError):
            # Damaged data, or a full disk: between two steps, so what was learned can be kept.
            checkpoints.save()
            raise
    finished = state.images_seen >= schedule.total_images
    return TrainResult(state.images_seen, None if finished else interrupts.received)


def set_up_tensorflow(config: TrainConfig) -> None:
    """Settings of the whole process; call it before networks are made."""
    keras.utils.set_random_seed(config.run.seed)
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    # TensorFlow's remapper fails on the double backward of leaky ReLU and says so for every graph;
    # what it would do is skipped either way.
    tf.config.optimizer.set_experimental_options({"remapping": False})


def to_replicas(strategy: tf.distribute.Strategy, step: Step, batch: Batch) -> StepInputs:
    """Gives each replica its part of a global batch, and all of them what else a step needs."""

    def split(array: np.ndarray) -> tf.Tensor:
        def part(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            size = len(array) // context.num_replicas_in_sync
            start = context.replica_id_in_sync_group * size
            return tf.constant(array[start : start + size])

        return strategy.experimental_distribute_values_from_function(part)

    return StepInputs(
        images=split(batch.images),
        labels=split(batch.labels),
        fake_labels=split(batch.fake_labels),
        # From arrays: TensorFlow keeps every Python number that it makes a tensor of, for good.
        alpha=tf.constant(np.array(step.alpha, np.float32)),
        learning_rate=tf.constant(np.array(step.phase.learning_rate, np.float32)),
        images_seen=tf.constant(np.array(step.images_seen, np.int64)),
    )


def _timed(batches: Iterator[tuple[Step, Batch]]) -> Iterator[tuple[Step, Batch, float]]:
    """Adds the seconds that each batch was waited for."""
    while True:
        asked = time.monotonic()
        following = next(batches, None)
        if following is None:
            return
        yield (*following, time.monotonic() - asked)


def _announce(
    config: TrainConfig,
    schedule: Schedule,
    pyramid: TrainingData,
    strategy: tf.distribute.Strategy,
    images_seen: int,
) -> None:
    final = config.network.resolutions[-1]
    labels = f", {config.network.label_size} labels" if config.network.label_size else ""
    total = f"{config.schedule.total_kimg:g} kimg"
    verb = "continuing" if images_seen else "starting"
    print(
        f"{pyramid.directory}: {pyramid.count} images, {pyramid.channels} channel(s){labels}\n"
        f"{how_it_is_read(pyramid)}"
        f"to {final}x{final} on {_devices(strategy)}, "
        f"{config.run.precision}; {verb} at {images_seen / 1000:.1f} of {total}",
        flush=True,
    )
    last = schedule.phases[-1].resolution
    if last < final:
        logging.warning(
            "--total_kimg=%s ends at %dx%d, before %dx%d begins",
            total,
            last,
            last,
            2 * last,
            2 * last,
        )


def _devices(strategy: tf.distribute.Strategy) -> str:
    """The devices that replicas run on, as `GPU:0, GPU:1`."""
    return ", ".join(device.rpartition("device:")[2] for device in strategy.extended.worker_devices)
