"""Training: the page to read first.

    flags -> config -> data, networks -> step -> loop -> checkpoints, summaries

A run is a walk through `Schedule.steps`. Everything random is a pure function of the seed and of
images_seen, so a run that is interrupted and started again takes the same walk.
"""

import contextlib
import dataclasses
import functools
import itertools
import signal
import time
from collections.abc import Iterator
from typing import TypeVar

import keras
import tensorflow as tf
from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.config.intervals import group_into_calls, max_call_length
from pgan_tf.config.phases import Phase, Schedule
from pgan_tf.data.dataset import describe_stream, open_data, read_batches
from pgan_tf.data.order import Shard
from pgan_tf.distribution.cluster import ALONE, Cluster, read_cluster
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.evaluation.in_training import TrainingEvaluation, make_evaluation
from pgan_tf.reporting.profiler import Profiler
from pgan_tf.reporting.reporter import NullReporter, Reporter, is_evaluated
from pgan_tf.reporting.summaries import Summaries
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.step.microbatches import set_up_threads
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.agreement import check_same_run, share_state, wait_for_all
from pgan_tf.training.feeding import quick_thread_switches, to_replicas
from pgan_tf.training.fine_tuning import begin_with_initial_networks, check_initial_networks
from pgan_tf.training.initialization import fit_to_first_reals
from pgan_tf.training.interrupts import Interrupts
from pgan_tf.training.preflight import check_batches, fit_to_data, warn_of_short_phases
from pgan_tf.training.supervision import (
    DivergedError,
    Supervisor,
    TooManySkippedError,
    explain_lost_workers,
)
from tfrecords_tools.errors import UserError, required
from tfrecords_tools.format import Pyramid

Given = TypeVar("Given")


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

    A run directory that exists is continued from its newest checkpoint. With several workers, the
    chief keeps the run directory, and the others take everything from the chief.

    Raises:
      UserError: the data or the run directory do not fit the configuration.
      DivergedError: updates were not finite any more, and going back once did not help.
      LostWorkerError: another worker has gone.
    """
    several = config.run.distribution == "multi_worker"
    cluster = read_cluster() if several else ALONE
    required(config.data.data_dir, "data_dir", "pgan-train")
    pyramid = open_data(config)
    run = RunDirectory(
        required(config.run.run_dir, "run_dir", "pgan-train"), fractions=config.writes_within_a_kimg
    )
    config = fit_to_data(config, pyramid)
    schedule = Schedule(config.schedule, config.network.final_resolution)
    if several:
        print(f"worker {cluster.index} of {cluster.count}: waiting for the others", flush=True)
    set_up_threads(config)
    strategy = make_strategy(
        config.run.distribution, logical_cpus=config.run.logical_cpus, cluster=cluster
    )
    check_batches(schedule, config.network, strategy.num_replicas_in_sync)
    warn_of_short_phases(schedule, config.optimizer.discriminator_steps)
    # After the strategy is made, because that of several workers keeps SIGTERM to itself.
    with Interrupts() as interrupts, explain_lost_workers(cluster), contextlib.closing(run):
        if several:
            check_same_run(strategy, cluster, config, pyramid)
        evaluation = None
        if cluster.is_chief:
            check_initial_networks(config, run)
            evaluation = make_evaluation(config, pyramid, run, strategy)
            run.open(config, pyramid)
        result = _Training(
            config, pyramid, run, schedule, strategy, cluster, interrupts, evaluation
        ).go()
        if several:
            wait_for_all(strategy)
        return result


class _Training:
    """One call of `train`, once everything fits together."""

    def __init__(
        self,
        config: TrainConfig,
        pyramid: Pyramid,
        run: RunDirectory,
        schedule: Schedule,
        strategy: tf.distribute.Strategy,
        cluster: Cluster,
        interrupts: Interrupts,
        evaluation: TrainingEvaluation | None,
    ):
        set_up_tensorflow(config)
        self.config = config
        self.pyramid = pyramid
        self.run = run
        self.schedule = schedule
        self.strategy = strategy
        self.cluster = cluster
        self.state = TrainState(config, strategy)
        self.checkpoints = Checkpoints(
            run.checkpoints, self.state, keep=config.run.keep_checkpoints
        )
        self.supervisor = Supervisor(
            cluster, interrupts, max_skipped_updates=config.run.max_skipped_updates
        )
        self.profiler = Profiler(config.run.profile_steps if cluster.is_chief else None, run.path)
        self.evaluation = evaluation

    def go(self) -> TrainResult:
        """Trains from the newest checkpoint on, or from the start."""
        continued = self.cluster.is_chief and self.checkpoints.restore()
        if self.cluster.is_chief and not continued:
            begin_with_initial_networks(self.config, self.state)
            fit_to_first_reals(self.config, self.schedule, self.pyramid, self.state)
        share_state(self.strategy, self.cluster, self.state)
        _announce(self.config, self.schedule, self.pyramid, self.strategy, self.state.images_seen)
        seen = self.state.images_seen
        if seen >= self.schedule.total_images and not self._owes_evaluation(seen):
            return TrainResult(seen, None)
        with (
            contextlib.closing(self._reporter()) as reporter,
            self.profiler,
            quick_thread_switches(),
        ):
            reporter.begin(self.schedule.phases[0], continued=continued)
            while True:
                try:
                    return self._walk(reporter)
                except TooManySkippedError:
                    self._go_back()
                    reporter.go_back()
                    self.supervisor.restart()

    def _owes_evaluation(self, images_seen: int) -> bool:
        """Whether the process before was ended in the evaluation at the end of the run."""
        return self.evaluation is not None and not is_evaluated(self.run, images_seen)

    def _reporter(self) -> Reporter | NullReporter:
        if not self.cluster.is_chief:
            return NullReporter()
        return Reporter(
            self.config,
            self.run,
            self.schedule,
            self.state,
            self.checkpoints,
            Summaries(self.run, self.config, self.pyramid),
            self.evaluation,
        )

    def _walk(self, reporter: Reporter | NullReporter) -> TrainResult:
        """Takes every step from where the state is, until the end or until it is told to stop.

        Raises:
          TooManySkippedError: it is time to go back to a checkpoint.
        """
        state, schedule = self.state, self.schedule
        batches = read_batches(
            self.pyramid,
            schedule.steps(state.images_seen),
            seed=self.config.run.seed,
            label_size=self.config.network.label_size,
            shard=Shard(self.cluster.index, self.cluster.count),
        )
        train_steps: dict[bool, TrainStep] = {}
        try:
            calls = _begun(group_into_calls(batches, self.config))
            reporter.start_clock()
            for call, data_wait in _timed(calls):
                step, _ = call[-1]
                started, phase = time.monotonic(), step.phase
                if phase.index != state.phase_index:
                    reset = self.config.optimizer.reset_optimizer
                    state.enter_phase(phase.index, reset_optimizers=reset)
                    train_steps = {}
                trains_generator = self.config.optimizer.trains_generator(step.number)
                prepared = trains_generator in train_steps
                if not prepared:
                    train_steps[trains_generator] = self._make_step(phase, trains_generator)
                train_step = train_steps[trains_generator]
                inputs = to_replicas(
                    self.strategy,
                    state,
                    call,
                    steps_per_call=max_call_length(
                        self.config, phase.batch_size, trains_generator=trains_generator
                    ),
                    stop_flags=self.supervisor.stop_flags(),
                )
                result = self.profiler.run(functools.partial(train_step, inputs), len(call))
                state.images_seen = step.images_seen_after
                if not prepared:
                    reporter.phase_prepared(phase, result, started)
                # Looked at once: a signal that comes while reports are written waits for the next.
                stop = self.supervisor.check(result)
                reporter.after_call(
                    step,
                    result,
                    data_wait,
                    stopping=stop is not None,
                    healthy=self.supervisor.healthy,
                )
                if stop:
                    finished = state.images_seen >= schedule.total_images
                    return TrainResult(state.images_seen, None if finished else stop)
        except tf.errors.ResourceExhaustedError as error:
            # In the middle of a call, so that there is nothing consistent to save.
            raise _out_of_memory(step.phase, self.config.run.run_dir) from error
        except (UserError, OSError):
            # Damaged data, or a full disk: between two calls, so what was learned can be kept.
            reporter.save(healthy=self.supervisor.healthy())
            raise
        return TrainResult(state.images_seen, None)

    def _make_step(self, phase: Phase, trains_generator: bool) -> TrainStep:
        return TrainStep(
            self.state,
            self.config,
            self.strategy,
            resolution=phase.resolution,
            fading=phase.fading,
            trains_generator=trains_generator,
        )

    def _go_back(self) -> None:
        """Restores the last checkpoint, to go on with other noise; once in the life of a run.

        Raises:
          DivergedError: it has been done before.
        """
        failed_at, rollbacks = self.state.images_seen, self.state.rollbacks
        trouble = (
            f"{self.config.run.max_skipped_updates} updates in a row were not finite at "
            f"{failed_at / 1000:g} kimg, {self.schedule.phase_at(failed_at - 1).name}"
        )
        if rollbacks:
            raise DivergedError(
                f"{trouble}, although the run has gone back to a checkpoint before and on with "
                "other noise. The checkpoints stay as they are; a new run with a lower "
                "--learning_rate, or with --precision=float32, may get further"
            )
        if self.cluster.is_chief:
            if not self.checkpoints.restore(healthy=True):
                raise DivergedError(f"{trouble}, and there is no checkpoint to go back to")
            self.state.rollbacks = rollbacks + 1
            self.checkpoints.save()
        share_state(self.strategy, self.cluster, self.state)
        logging.warning(
            "%s: going back to the checkpoint at %g kimg, and on with other noise",
            trouble,
            self.state.images_seen / 1000,
        )


def _out_of_memory(phase: Phase, run_dir: str) -> UserError:
    return UserError(
        f"out of memory in {phase.name} with --batch_size {phase.batch_size}. The last checkpoint "
        "stays; --dry_run finds a batch that fits, and a new run can go on from this one with it: "
        f"--init_from={run_dir} --batch_size_by_resolution={phase.resolution}:..."
    )


def set_up_tensorflow(config: TrainConfig) -> None:
    """Settings of the whole process; call it before networks are made."""
    keras.utils.set_random_seed(config.run.seed)
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    # TensorFlow's remapper fuses leaky ReLU into convolutions, which makes these slower by what it
    # saves, and warns about every graph of some networks.
    tf.config.optimizer.set_experimental_options({"remapping": False})


def _begun(calls: Iterator[Given]) -> Iterator[Given]:
    """The same, once the first is there: the first reads find threads and memory for all others."""
    first = list(itertools.islice(calls, 1))
    return itertools.chain(first, calls)


def _timed(calls: Iterator[Given]) -> Iterator[tuple[Given, float]]:
    """Adds the seconds that each was waited for."""
    while True:
        asked = time.monotonic()
        following = next(calls, None)
        if following is None:
            return
        yield following, time.monotonic() - asked


def _announce(
    config: TrainConfig,
    schedule: Schedule,
    pyramid: Pyramid,
    strategy: tf.distribute.Strategy,
    images_seen: int,
) -> None:
    final = config.network.final_resolution
    labels = f", {config.network.label_size} labels" if config.network.label_size else ""
    total = f"{config.schedule.total_kimg:g} kimg"
    verb = "continuing" if images_seen else "starting"
    print(
        f"{pyramid.location}: {pyramid.count} images, {pyramid.channels} channel(s){labels}\n"
        f"{describe_stream(pyramid, final)}"
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
