"""The work between calls of steps, when it is due: ticks, grids, generators, checkpoints."""

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.config.intervals import due_events, is_crossed, is_measured
from pgan_tf.config.phases import Phase, Schedule, Step
from pgan_tf.diagnosis.doctor import Doctor, NullDoctor
from pgan_tf.evaluation.by_class import is_of_one_class
from pgan_tf.evaluation.in_training import TrainingEvaluation
from pgan_tf.evaluation.results import TAG_PREFIX
from pgan_tf.evaluation.tables import format_figure
from pgan_tf.networks.cost import StepTimes
from pgan_tf.reporting.histograms import histograms
from pgan_tf.reporting.scalars import FinishedCall, Ticker, memory_scalars, progress_line
from pgan_tf.reporting.summaries import Summaries
from pgan_tf.runs.averages import averages_path, save_averages
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.grids import quantize
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.runs.saved_generator import GeneratorDescription, as_keras_model, save_generator
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError


def is_evaluated(run: RunDirectory, images_seen: int) -> bool:
    """Return whether a run's metrics log has an evaluation at `images_seen`."""
    return run.metrics_log.has_values(TAG_PREFIX, images_seen)


class Reporter:
    """Counts the steps of a run and writes everything that comes due.

    Grids, generators and checkpoints are written at ticks, and cause a tick, so that the speed at a
    tick is that of training alone.
    """

    def __init__(
        self,
        config: TrainConfig,
        run: RunDirectory,
        schedule: Schedule,
        state: TrainState,
        checkpoints: Checkpoints,
        summaries: Summaries,
        doctor: Doctor | NullDoctor,
        evaluation: TrainingEvaluation | None = None,
    ):
        """Write nothing yet.

        Args:
          config: with the values filled in that come from the data.
          run: the directory to write to.
          schedule: the run's.
          state: the training state, which is reported and saved.
          checkpoints: of the run.
          summaries: writes scalars and grids.
          doctor: looks at every tick.
          evaluation: computes metrics while training; None for none.
        """
        self._config = config
        self._run = run
        self._schedule = schedule
        self._state = state
        self._checkpoints = checkpoints
        self._summaries = summaries
        self._doctor = doctor
        self._evaluation = evaluation
        self._begin_counting()
        self._step_times = StepTimes(config)
        # Keep the last model, because layers remember every model that they are part of.
        self._keras_model = functools.lru_cache(maxsize=1)(
            functools.partial(as_keras_model, state.ema_generator)
        )

    def _begin_counting(self) -> None:
        self._checkpoint_is_due = False
        self._ticker = Ticker()

    def begin(self, phase: Phase, *, continued: bool) -> None:
        """Write the configuration, and drop reports past the checkpoint of a continued run.

        A new run begins with reals, fakes of the untrained generator, and a checkpoint, so that
        there is one to go back to from the first step on. A continued run makes up for the
        evaluation that was due when it ended.

        Args:
          phase: the first of the schedule.
          continued: whether the run continues from a checkpoint.
        """
        seen = self._state.images_seen
        self._summaries.forget_after(seen)
        self._summaries.write_config(seen)
        self._doctor.begin()
        if not continued:
            self._summaries.write_reals()
            self._write_samples(phase)
            self._checkpoints.save()
        else:
            self._make_up_evaluation()

    def _make_up_evaluation(self) -> None:
        """Evaluate if the process ended between a checkpoint and the evaluation due with it."""
        seen = self._state.images_seen
        if self._evaluation is None or not seen or is_evaluated(self._run, seen):
            return
        phase = self._schedule.phases[min(self._state.phase_index, len(self._schedule.phases) - 1)]
        before = max(seen - phase.batch_size, 0)
        is_due = is_crossed(self._config.evaluation.eval_kimg, before, seen)
        ends_stage = seen >= phase.end and not phase.fading
        if is_due or ends_stage or seen >= self._schedule.total_images:
            self._evaluate(self._evaluation, phase)

    def go_back(self) -> None:
        """Drop the reports past the checkpoint that has just been restored."""
        self._summaries.forget_after(self._state.images_seen)
        self._doctor.begin()
        self._begin_counting()

    def save(self, *, healthy: bool) -> None:
        """Save the current state."""
        self._checkpoints.save(healthy=healthy)

    def close(self) -> None:
        """Close the files."""
        self._summaries.close()

    def after_call(self, call: FinishedCall) -> None:
        """Count the steps of a call, and write a tick if one is due.

        Args:
          call: finished after those before it; later ones may have been started.
        """
        if call.makes_graph:
            seconds = call.finished - call.started
            print(f"{call.last_step.phase.name}: prepared in {seconds:.1f} s", flush=True)
        self._ticker.add(call)
        first, last = call.steps[0], call.last_step
        if "tick" in due_events(self._config, first.images_seen, last.images_seen_after):
            self._write_tick(last, measures=is_measured(self._config, first, last))

    def write_state(self, steps: Sequence[Step], *, stopping: bool, healthy: bool) -> None:
        """Write everything that has come due and needs the state itself, with a tick.

        Args:
          steps: of the last call, after which the state is.
          stopping: whether it is the last call of this process, so that everything is due.
          healthy: whether updates are finite. While they are not, all checkpoints but the last are
            postponed, so that the newest one is worth going back to.
        """
        seen, last_step, phase = self._state.images_seen, steps[-1], steps[-1].phase
        ends_phase = seen >= phase.end
        ends_run = seen >= self._schedule.total_images
        last = ends_run or stopping
        due = due_events(self._config, steps[0].images_seen, seen)
        sample = "sample" in due or ends_phase or last
        self._checkpoint_is_due |= "checkpoint" in due or ends_phase
        checkpoint = (self._checkpoint_is_due and healthy) or last
        network = "network" in due or (ends_phase and not phase.fading) or last
        evaluate = "evaluation" in due or (ends_phase and not phase.fading)
        # Not when asked to stop: an evaluation may take longer than the user wants to wait.
        wanted = (evaluate or ends_run) and not stopping and healthy
        evaluation = self._evaluation if wanted else None
        if not (sample or checkpoint or network or evaluation):
            return
        if not self._ticker.is_empty:
            self._write_tick(last_step)
        if sample:
            self._write_samples(phase)
        if network:
            self._save_network(phase)
        # Before an evaluation, which may take long: if the process is killed, nothing is lost.
        if checkpoint or evaluation:
            self._checkpoints.save(healthy=healthy)
            self._checkpoint_is_due = False
        if evaluation:
            self._evaluate(evaluation, phase)
        self.start_clock()

    def start_clock(self) -> None:
        """Measure the speed from now on."""
        self._ticker.restart()

    def _write_tick(self, step: Step, *, measures: bool = False) -> None:
        """Report the steps since the last tick, up to `step`.

        Args:
          step: the last.
          measures: whether to measure both networks, which are as `step` has left them.
        """
        phase, seen = step.phase, step.images_seen_after
        scalars = self._ticker.report()
        alpha = phase.alpha(seen)
        if "speed/seconds_per_kimg" in scalars:
            self._step_times.add(phase, scalars["speed/seconds_per_kimg"] / 1000)
        eta = self._step_times.remaining(self._schedule, seen)
        print(progress_line(phase, alpha, seen, scalars, eta), flush=True)
        scalars.update(
            {
                "progress/kimg": seen / 1000,
                "progress/resolution": phase.resolution,
                "progress/alpha": alpha,
                "progress/batch_size": phase.batch_size,
                "progress/learning_rate": step.learning_rate,
                **({} if eta is None else {"progress/eta_hours": eta / 3600}),
                **memory_scalars(),
            }
        )
        if measures:
            scalars.update(self._doctor.measure(phase, seen))
            self.start_clock()
        self._summaries.write_scalars(scalars, seen)
        trouble = self._doctor.look(phase, seen, scalars)
        if trouble is not None:
            self._summaries.write_text("diagnosis", trouble, seen)

    def _write_samples(self, phase: Phase) -> None:
        self._write_fakes(phase)
        if self._config.run.histograms:
            found = histograms(self._state, resolution=phase.resolution, fading=phase.fading)
            self._summaries.write_histograms(found, self._state.images_seen)

    def _write_fakes(self, phase: Phase) -> None:
        alpha = self._alpha(phase)
        ema = self._state.ema_generator

        def generate(latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            inputs = [tf.constant(latents), None if labels is None else tf.constant(labels)]
            return quantize(ema(*inputs, resolution=phase.resolution, alpha=alpha)).numpy()

        self._summaries.write_fakes(generate, self._state.images_seen, batch_size=phase.batch_size)

    def _evaluate(self, evaluation: TrainingEvaluation, phase: Phase) -> None:
        started = time.monotonic()
        try:
            found = evaluation.evaluate(
                self._state.ema_generator, resolution=phase.resolution, alpha=self._alpha(phase)
            )
        except UserError as error:
            logging.warning("not evaluated: %s", error)
            return
        save = functools.partial(self._save_generator, self._run.best_generator, phase)
        best = evaluation.offer(found, save)
        shown = "  ".join(
            f"{name} {format_figure(value, found.spread.get(name))}"
            for name, value in found.values.items()
            if not is_of_one_class(name)
        )
        seconds = time.monotonic() - started
        print(f"{shown}{'  best so far' if best else ''}  ({seconds:.1f} s)", flush=True)
        self._summaries.write_scalars(evaluation.scalars(found), self._state.images_seen)

    def _save_network(self, phase: Phase) -> None:
        path = self._run.generator(self._state.images_seen)
        averages = self._state.power_averages
        if averages:
            save_averages(averages_path(path), averages, images_seen=self._state.images_seen)
        self._save_generator(path, phase)

    def _save_generator(
        self, path: Path, phase: Phase, more: Mapping[str, Any] | None = None
    ) -> None:
        seen, alpha = self._state.images_seen, self._alpha(phase)
        model = self._keras_model(resolution=phase.resolution, alpha=alpha)
        description = GeneratorDescription(
            images_seen=seen,
            resolution=phase.resolution,
            alpha=phase.alpha(seen),
            final_resolution=self._schedule.phases[-1].resolution,
            channels=self._config.network.channels,
            bits=self._config.network.bits,
            latent_size=self._config.network.resolved_latent_size,
            label_size=self._config.network.label_size,
            label_names=self._summaries.samples.label_names,
            label_rows=self._summaries.samples.label_rows,
            **(more or {}),
        )
        save_generator(path, model, description)

    def _alpha(self, phase: Phase) -> float | None:
        """Return the alpha of a generator that is drawn or saved now; None outside a fade."""
        return phase.alpha(self._state.images_seen) if phase.fading else None


class NullReporter:
    """Takes the place of the `Reporter` on all workers but the chief, and does nothing."""

    def begin(self, phase: Phase, *, continued: bool) -> None:
        """Do nothing."""

    def go_back(self) -> None:
        """Do nothing."""

    def start_clock(self) -> None:
        """Do nothing."""

    def after_call(self, call: FinishedCall) -> None:
        """Do nothing."""

    def write_state(self, steps: Sequence[Step], *, stopping: bool, healthy: bool) -> None:
        """Do nothing."""

    def save(self, *, healthy: bool) -> None:
        """Do nothing: the chief saves the same state."""

    def close(self) -> None:
        """Do nothing."""
