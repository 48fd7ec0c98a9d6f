"""The graphs of the phase in training, and of the next one, made by another thread meanwhile."""

import concurrent.futures
from collections.abc import Callable

from pgan_tf.config.phases import Phase
from pgan_tf.distribution.strategy import is_on_gpus
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.step import TrainStep
from pgan_tf.training.prepare import PreparedRun
from tfrecords_tools.host import core_count

# Cores that steps on CPUs use up: with no more, building a graph beside them slows them down by as
# much as it saves.
_CORES_OF_STEPS = 4


def prepares_ahead(run: PreparedRun) -> bool:
    """Return whether the next phase is prepared while the present one trains.

    Several workers do not: TensorFlow numbers their exchanges in the order in which graphs are
    built, which must be the same on all of them.
    """
    if run.cluster.count > 1:
        return False
    return is_on_gpus(run.strategy) or core_count() > _CORES_OF_STEPS


class PhaseGraphs:
    """The training steps of a run's phases: two a phase with several discriminator steps, else one.

    Their graphs are built when they are first called, or before that by `prepare_next`.
    """

    def __init__(
        self,
        run: PreparedRun,
        make: Callable[[Phase, bool], TrainStep],
        make_inputs: Callable[[Phase, bool], StepInputs],
        *,
        ahead: bool,
    ):
        """Make nothing yet.

        Args:
          run: the run, for its phases.
          make: makes the training step of a phase, which trains the generator or not, without
            its graph, which takes longest.
          make_inputs: makes inputs of its calls, of any values.
          ahead: whether `prepare_next` does anything (`prepares_ahead`).
        """
        self._run = run
        self._make = make
        self._make_inputs = make_inputs
        self._ahead = ahead
        # By the phase's index, and whether the generator is trained; only of the newest phase.
        self._train_steps: dict[tuple[int, bool], TrainStep] = {}
        self._prepared: dict[tuple[int, bool], concurrent.futures.Future[TrainStep]] = {}
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="graphs")

    def is_used(self, phase: Phase, trains_generator: bool) -> bool:
        """Return whether a training step has been asked for since its phase began."""
        return (phase.index, trains_generator) in self._train_steps

    def get(self, phase: Phase, trains_generator: bool) -> TrainStep:
        """Return a training step. Raises what was raised while it was prepared."""
        key = (phase.index, trains_generator)
        if key not in self._train_steps:
            prepared = self._prepared.pop(key, None)
            train_step = prepared.result() if prepared else self._make(phase, trains_generator)
            # Graphs of the phases before take memory, and are not needed any more.
            kept = {k: v for k, v in self._train_steps.items() if k[0] == phase.index}
            self._train_steps = {**kept, key: train_step}
        return self._train_steps[key]

    def prepare_next(self, phase: Phase) -> None:
        """Have another thread prepare the phase after this one, unless it has begun to already."""
        if not self._ahead or phase == self._run.schedule.phases[-1]:
            return
        following = self._run.schedule.phases[phase.index + 1]
        optimizer = self._run.config.optimizer
        kinds = map(optimizer.trains_generator, range(optimizer.discriminator_steps))
        for trains_generator in dict.fromkeys(kinds):
            key = (following.index, trains_generator)
            if key not in self._prepared:
                train_step = self._make(following, trains_generator)
                self._prepared[key] = self._pool.submit(
                    self._prepare, train_step, following, trains_generator
                )

    def _prepare(self, train_step: TrainStep, phase: Phase, trains_generator: bool) -> TrainStep:
        train_step.prepare(self._make_inputs(phase, trains_generator))
        return train_step

    def close(self) -> None:
        """Wait for the training step that is being prepared: building a graph can't be stopped."""
        self._pool.shutdown(cancel_futures=True)
