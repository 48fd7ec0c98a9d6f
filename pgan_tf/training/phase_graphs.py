"""The graphs of the phase in training, and of the next one, made by another thread meanwhile."""

import concurrent.futures
import time
from collections.abc import Callable

from absl import logging

from pgan_tf.config import StepKind
from pgan_tf.config.phases import Phase
from pgan_tf.distribution.devices import has_gpu_memory_for
from pgan_tf.distribution.strategy import is_on_gpus
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.step import TrainStep
from pgan_tf.training.prepare import PreparedRun
from tfrecords_tools.host import core_count
from tfrecords_tools.printable import say

# Cores that steps on CPUs use up: with no more, building a graph beside them slows them down by as
# much as it saves.
_CORES_OF_STEPS = 4

# Compiling ahead runs an iteration of the next phase beside those in training: with a second state,
# and with activations of up to twice the size.
_MEMORY_FACTOR = 3


def prepares_ahead(run: PreparedRun) -> bool:
    """Return whether the next phase is prepared while the present one trains.

    Several workers do not: TensorFlow numbers their exchanges in the order in which graphs are
    built, which must be the same on all of them.
    """
    if run.cluster.count > 1:
        return False
    return is_on_gpus(run.strategy) or core_count() > _CORES_OF_STEPS


class PhaseGraphs:
    """The training steps of a run's phases, one for each kind that a phase has.

    Their graphs are built when they are first called, or before that by `prepare_next`.
    """

    def __init__(
        self,
        run: PreparedRun,
        make: Callable[[Phase, StepKind], TrainStep],
        make_inputs: Callable[[Phase, StepKind], StepInputs],
        *,
        ahead: bool,
    ):
        """Make nothing yet.

        Args:
          run: the run, for its phases.
          make: makes the training step of a phase and of a kind, without its graph, which takes
            longest.
          make_inputs: makes inputs of its calls, of any values.
          ahead: whether `prepare_next` does anything (`prepares_ahead`).
        """
        self._run = run
        self._make = make
        self._make_inputs = make_inputs
        self._ahead = ahead
        # By the phase's index and the kind; only of the newest phase.
        self._train_steps: dict[tuple[int, StepKind], TrainStep] = {}
        self._prepared: dict[tuple[int, StepKind], concurrent.futures.Future[TrainStep]] = {}
        self._seconds: dict[tuple[int, StepKind], float] = {}
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="graphs")

    def is_used(self, phase: Phase, kind: StepKind) -> bool:
        """Return whether a training step has been asked for since its phase began."""
        return (phase.index, kind) in self._train_steps

    def get(self, phase: Phase, kind: StepKind) -> TrainStep:
        """Return a training step. Raises what was raised while it was prepared."""
        key = (phase.index, kind)
        if key not in self._train_steps:
            prepared = self._prepared.pop(key, None)
            train_step = prepared.result() if prepared else self._make(phase, kind)
            # Graphs of the phases before take memory, and are not needed any more.
            kept = {k: v for k, v in self._train_steps.items() if k[0] == phase.index}
            self._train_steps = {**kept, key: train_step}
        return self._train_steps[key]

    def seconds_ahead(self, phase: Phase, kind: StepKind) -> float:
        """Return how long another thread took to prepare a training step; 0 if none has."""
        return self._seconds.get((phase.index, kind), 0.0)

    def prepare_next(self, phase: Phase) -> None:
        """Have another thread prepare the phase after this one, unless it has begun to already."""
        if not self._ahead or phase == self._run.schedule.phases[-1]:
            return
        following = self._run.schedule.phases[phase.index + 1]
        for kind in dict.fromkeys(self._run.config.step_kinds):
            key = (following.index, kind)
            if key not in self._prepared:
                train_step = self._make(following, kind)
                self._prepared[key] = self._pool.submit(self._prepare, train_step, following, kind)

    def _prepare(self, train_step: TrainStep, phase: Phase, kind: StepKind) -> TrainStep:
        started = time.monotonic()
        train_step.prepare(self._make_inputs(phase, kind))
        _compile_ahead(train_step, phase)
        self._seconds[phase.index, kind] = time.monotonic() - started
        return train_step

    def close(self) -> None:
        """Wait for the training step that is being prepared: that can't be stopped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not all(prepared.done() for prepared in self._prepared.values()):
            say("waiting for the preparation of the next phase, which can't be stopped")
        self._pool.shutdown()


def _compile_ahead(train_step: TrainStep, phase: Phase) -> None:
    """Compile a training step, if XLA compiles it, and if there is the memory."""
    try:
        if has_gpu_memory_for(_MEMORY_FACTOR):
            train_step.compile_ahead()
    except Exception as error:
        # The phase's first call compiles it, or says why that can't be.
        reason = str(error).partition("\n")[0]
        logging.warning("%s is compiled only when it begins: %s", phase.name, reason)
