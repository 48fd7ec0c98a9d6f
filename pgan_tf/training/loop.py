"""Training: the page to read first.

    flags -> config -> data, networks -> step -> loop -> checkpoints, reports

A run takes the steps of `Schedule.steps`, one call of a graph after the other. Everything random is
a pure function of the seed and of images_seen, so a run that is interrupted and started again
continues as if nothing had happened.
"""

import contextlib
import dataclasses
import functools
import signal
import time
from collections.abc import Iterator

from pgan_tf.config import StepKind, TrainConfig
from pgan_tf.config.intervals import needs_state
from pgan_tf.config.phases import Phase
from pgan_tf.diagnosis.doctor import Doctor, NullDoctor
from pgan_tf.distribution.out_of_memory import is_out_of_memory
from pgan_tf.evaluation.in_training import TrainingEvaluation, make_evaluation
from pgan_tf.reporting.profiler import Profiler
from pgan_tf.reporting.reporter import NullReporter, Reporter, is_evaluated
from pgan_tf.reporting.summaries import Summaries
from pgan_tf.reporting.wandb_mirror import mirrored_to_wandb, require_wandb
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.agreement import (
    check_same_run,
    chiefs_answer,
    share_state,
    wait_for_all,
)
from pgan_tf.training.compile_choice import make_compile_choice
from pgan_tf.training.feeding import Call, blank_inputs, feed, quick_thread_switches
from pgan_tf.training.fine_tuning import check_initial_networks, load_initial_networks
from pgan_tf.training.initialization import fit_to_first_reals
from pgan_tf.training.phase_graphs import PhaseGraphs, prepares_ahead
from pgan_tf.training.preflight import warn_of_short_phases
from pgan_tf.training.prepare import PreparedRun, announce, prepare_run
from pgan_tf.training.recovery import (
    DivergedError,
    explain_lost_workers,
    go_back,
    out_of_memory,
    refuse_end_while_skipping,
    warn_of_skipped_updates,
)
from pgan_tf.training.run_ahead import RunAhead
from pgan_tf.training.supervision import Interrupts, Supervisor, TooManySkippedError
from tfrecords_tools.errors import UserError, required


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The end of a call of `train`.

    Attributes:
      images_seen: real images shown since the run began.
      interrupted_by: the signal that stopped the run before its end, or None.
    """

    images_seen: int
    interrupted_by: signal.Signals | None


def train(config: TrainConfig) -> TrainResult:
    """Train until `total_kimg`, or until SIGINT, SIGTERM or SIGHUP, which save first.

    A run directory that exists is continued from its newest checkpoint. With several workers, only
    the chief writes to the run directory, and the others take their state from the chief.

    Raises:
      UserError: the data or the run directory do not fit the configuration.
      DivergedError: updates stopped being finite, and going back once did not help.
      LostWorkerError: another worker is gone.
    """
    required(config.data.data_dir, "data_dir", "pgan-train")
    required(config.run.run_dir, "run_dir", "pgan-train")
    if config.run.wandb:
        require_wandb()
    run = prepare_run(config)
    warn_of_short_phases(run.schedule, config.optimizer.discriminator_steps)
    directory = RunDirectory(run.config.run.run_dir, fractions=config.writes_within_a_kimg)
    # In this order: see `prepare_run`.
    with Interrupts() as interrupts, explain_lost_workers(run.cluster):
        check_same_run(run)
        with contextlib.closing(directory):
            evaluation = _open_directory(run, directory) if run.cluster.is_chief else None
            result = _Training(run, directory, evaluation, interrupts).run_to_end()
            wait_for_all(run.strategy, run.cluster)
    return result


def _open_directory(run: PreparedRun, directory: RunDirectory) -> TrainingEvaluation | None:
    """Make or reopen the run directory, once everything that could refuse the run has been asked.

    Returns:
      The evaluation during training, if the configuration asks for one.
    """
    check_initial_networks(run.config, directory, run.pyramid.label_names)
    evaluation = make_evaluation(run.config, run.pyramid, directory, run.strategy)
    directory.open(run.config, run.pyramid)
    return evaluation


class _Training:
    """One process's training of a run, from the newest checkpoint on."""

    def __init__(
        self,
        run: PreparedRun,
        directory: RunDirectory,
        evaluation: TrainingEvaluation | None,
        interrupts: Interrupts,
    ):
        options = run.config.run
        self.run = run
        self.config = run.config
        self.schedule = run.schedule
        self.directory = directory
        self.evaluation = evaluation
        self.state = TrainState(run.config, run.strategy)
        self.checkpoints = Checkpoints(
            directory.checkpoints, self.state, keep=options.keep_checkpoints
        )
        self.learned_before = False
        self.supervisor = Supervisor(
            run.cluster, interrupts, max_skipped_updates=options.max_skipped_updates
        )
        profiled_steps = options.profile_steps if run.cluster.is_chief else None
        self.profiler = Profiler(profiled_steps, directory.path)
        self.compile_choice = make_compile_choice(run, directory.compilation)
        self.graphs = PhaseGraphs(
            run, self._make_train_step, self._blank_inputs, ahead=prepares_ahead(run)
        )

    def run_to_end(self) -> TrainResult:
        """Take all steps that are left, going back to a checkpoint if updates stop being finite."""
        continued = self._restore_or_initialize()
        announce(self.run, self.state.images_seen)
        if self._nothing_is_left():
            return TrainResult(self.state.images_seen, None)
        with (
            contextlib.closing(self.graphs),
            self._mirrored(),  # before the reporter opens its file of events
            contextlib.closing(self._make_reporter()) as reporter,
            self.profiler,
            quick_thread_switches(),
        ):
            reporter.begin(self.schedule.phases[0], continued=continued)
            while True:
                try:
                    result = self._take_steps(reporter)
                except TooManySkippedError:
                    go_back(self.run, self.state, self.checkpoints)
                    self.learned_before = self.state.images_seen > 0
                    reporter.go_back()
                    self.supervisor.restart()
                else:
                    warn_of_skipped_updates(self.supervisor.skipped, self.supervisor.updates)
                    return result

    def _restore_or_initialize(self) -> bool:
        """Give all workers the state of the newest checkpoint, or a new one.

        Returns:
          Whether the chief has restored a checkpoint.
        """
        restored = False
        if self.run.cluster.is_chief:
            restored = self.checkpoints.restore()
            if not restored:
                names = self.run.pyramid.label_names
                load_initial_networks(self.config, self.state, names)
                fit_to_first_reals(self.config, self.schedule, self.run.pyramid, self.state)
        share_state(self.run.strategy, self.run.cluster, self.state)
        healthy = chiefs_answer(self.run.strategy, self.run.cluster, self.checkpoints.is_healthy)
        self.learned_before = healthy and self.state.images_seen > 0
        return restored

    def _nothing_is_left(self) -> bool:
        """Return whether the run has ended, with the evaluation at its end if it has one.

        Raises:
          UserError: its images_seen lie beyond that end.
        """
        seen = self.state.images_seen
        last = self.schedule.phases[-1]
        if seen >= self.schedule.total_images + last.batch_size:
            raise UserError(
                f"{self.directory.checkpoints}: its newest checkpoint is at {seen} images, which a "
                f"run of {self.schedule.total_images} never reaches: damaged, or made with a larger"
                " --total_kimg; give that"
            )
        lacks_evaluation = self.evaluation is not None and not is_evaluated(self.directory, seen)
        return seen >= self.schedule.total_images and not lacks_evaluation

    def _mirrored(self) -> contextlib.AbstractContextManager:
        if not self.run.cluster.is_chief:
            return contextlib.nullcontext()
        return mirrored_to_wandb(self.config, self.directory)

    def _make_reporter(self) -> Reporter | NullReporter:
        if not self.run.cluster.is_chief:
            return NullReporter()
        return Reporter(
            self.config,
            self.directory,
            self.schedule,
            self.state,
            self.checkpoints,
            Summaries(self.directory, self.config, self.run.pyramid),
            self._make_doctor(),
            self.evaluation,
        )

    def _make_doctor(self) -> Doctor | NullDoctor:
        if not self.config.run.diagnose:
            return NullDoctor(self.directory)
        return Doctor(
            self.config,
            self.directory,
            self.schedule,
            self.run.pyramid,
            self.state,
            replicas=self.run.replicas,
        )

    def _take_steps(self, reporter: Reporter | NullReporter) -> TrainResult:
        """Take every step from the state's images_seen to the end, or until a signal.

        Raises:
          TooManySkippedError: training should go back to a checkpoint.
          DivergedError: the run would end in updates that were all skipped.
        """
        with (
            RunAhead(self.run.strategy) as ahead,
            self._faults_handled(reporter, ahead),
            feed(self.run, self.state) as calls,
        ):
            reporter.start_clock()
            for call in calls:
                waits = self._start_call(call, ahead)
                self._look_at_results(reporter, ahead, everything=waits)
                # Asked once: a signal that arrives during reports waits for the next call.
                stop = self.supervisor.stop_signal()
                if stop:
                    self._look_at_results(reporter, ahead, everything=True)
                elif self.supervisor.should_go_back:
                    raise TooManySkippedError
                ends_run = self.state.images_seen >= self.schedule.total_images
                if ends_run:
                    skipped = self.supervisor.skipped_to_the_end(healthy_before=self.learned_before)
                    refuse_end_while_skipping(skipped, self.state.images_seen)
                if stop or waits:
                    healthy = self.supervisor.healthy
                    reporter.write_state(call.steps, stopping=stop is not None, healthy=healthy)
                if stop and not ends_run:
                    return TrainResult(self.state.images_seen, stop)
        return TrainResult(self.state.images_seen, None)

    def _start_call(self, call: Call, ahead: RunAhead) -> bool:
        """Start a call's steps on all replicas, in their phase; may return before they are done.

        Returns:
          Whether to wait for it before the next one: because the state is written then, because it
          makes a graph, or because updates are being skipped. All workers wait alike.
        """
        started, last = time.monotonic(), call.last_step
        self._enter_phase(last.phase)
        kind = self.config.step_kind(last.number)
        makes_graph = not self.graphs.is_used(last.phase, kind)
        train_step = self.graphs.get(last.phase, kind)
        inputs = call.inputs_with(self.supervisor.stop_flags())
        run = functools.partial(
            self.profiler.run, functools.partial(train_step, inputs), len(call.steps)
        )
        ahead.start(call, run, started=started, makes_graph=makes_graph)
        self.state.images_seen = last.images_seen_after
        return (
            makes_graph
            or needs_state(self.config, call.steps[0], last)
            or not self.supervisor.healthy
        )

    def _look_at_results(
        self, reporter: Reporter | NullReporter, ahead: RunAhead, *, everything: bool
    ) -> None:
        """Look at the results that are due, or at those of all calls, and wait for them."""
        for call in ahead.finished(everything=everything):
            self.supervisor.look_at(call.result)
            reporter.after_call(call)
            if call.makes_graph:
                last = call.last_step
                kind = self.config.step_kind(last.number)
                ahead_seconds = self.graphs.seconds_ahead(last.phase, kind)
                seconds = max(call.finished - call.started, ahead_seconds)
                self.compile_choice.note_preparation(last.phase, seconds)
                self.graphs.prepare_next(last.phase)

    def _enter_phase(self, phase: Phase) -> None:
        if phase.index != self.state.phase_index:
            reset = self.config.optimizer.reset_optimizer
            self.state.enter_phase(phase.index, reset_optimizers=reset)

    def _make_train_step(self, phase: Phase, kind: StepKind) -> TrainStep:
        return TrainStep(
            self.state,
            self.compile_choice.config_for(phase),
            self.run.strategy,
            resolution=phase.resolution,
            fading=phase.fading,
            kind=kind,
        )

    def _blank_inputs(self, phase: Phase, kind: StepKind) -> StepInputs:
        stop_flags = self.supervisor.stop_flags()
        return blank_inputs(self.run, self.state, phase, kind, stop_flags=stop_flags)

    @contextlib.contextmanager
    def _faults_handled(self, reporter: Reporter | NullReporter, ahead: RunAhead) -> Iterator[None]:
        """Save the state where that is possible, and explain errors that users can mend."""
        try:
            yield
        except DivergedError:
            raise  # a checkpoint of the end would let the run pass for done
        except (UserError, OSError):
            # Damaged data, or a full disk: between two calls, so what was learned can be saved.
            self._look_at_results(reporter, ahead, everything=True)
            reporter.save(healthy=self.supervisor.healthy)
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # In the middle of a step, so the state is not consistent and can't be saved.
            phase = self.schedule.phases[self.state.phase_index]
            raise out_of_memory(self.run, phase, error) from error
