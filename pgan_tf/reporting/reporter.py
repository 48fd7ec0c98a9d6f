"""What happens between calls of steps, and when: ticks, grids, saved generators, checkpoints."""

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.config.intervals import due_events, is_crossed
from pgan_tf.config.phases import Phase, Schedule, Step
from pgan_tf.evaluation.in_training import TrainingEvaluation
from pgan_tf.evaluation.results import TAG_PREFIX, format_figure
from pgan_tf.networks.cost import StepTimes
from pgan_tf.reporting.histograms import histograms
from pgan_tf.reporting.memory import memory_figures
from pgan_tf.reporting.summaries import Summaries, Ticker, progress_line
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.runs.saved_generator import GeneratorDescription, as_keras_model, save_generator
from pgan_tf.step.step import StepResult
from pgan_tf.step.train_state import TrainState
from tfrecords_tools.errors import UserError


def is_evaluated(run: RunDirectory, images_seen: int) -> bool:
    """Whether a run's figures hold an evaluation of that moment."""
    return run.metrics_log.has_values(TAG_PREFIX, images_seen)


class Reporter:
    """Watches the steps go by and writes what is due.

    Grids, generators and checkpoints are written at ticks, and cause one, so that the speed a tick
    reports is training's alone.
    """

    def __init__(
        self,
        config: TrainConfig,
        run: RunDirectory,
        schedule: Schedule,
        state: TrainState,
        checkpoints: Checkpoints,
        summaries: Summaries,
        evaluation: TrainingEvaluation | None = None,
    ):
        self._config = config
        self._run = run
        self._schedule = schedule
        self._state = state
        self._checkpoints = checkpoints
        self._summaries = summaries
        self._evaluation = evaluation
        self._begin_counting()
        self._step_times = StepTimes(config.network)
        # The last model is kept, because layers remember every model that they are part of.
        self._keras_model = functools.lru_cache(maxsize=1)(
            functools.partial(as_keras_model, state.ema_generator)
        )

    def _begin_counting(self) -> None:
        self._checked_at = self._state.images_seen  # where due events were last looked at
        self._checkpoint_is_due = False
        self._ticker = Ticker(self._state.images_seen)

    def begin(self, phase: Phase, *, continued: bool) -> None:
        """Writes the configuration, and takes back what a run that continues will repeat.

        A new run begins with reals, fakes of no training, and the state, so that there is a
        checkpoint to go back to from the first step on. One that continues makes up for the
        evaluation that was due when it ended.

        Args:
          phase: the first of the schedule.
          continued: whether the run goes on from a checkpoint.
        """
        seen = self._state.images_seen
        self._summaries.forget_after(seen)
        self._summaries.write_config(seen)
        if not continued:
            self._summaries.write_reals()
            self._write_samples(phase)
            self._checkpoints.save()
        else:
            self._make_up_evaluation()

    def _make_up_evaluation(self) -> None:
        """Evaluates where the process ended between a checkpoint and the evaluation due with it."""
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
        """Takes back what was reported after the checkpoint that has just been restored."""
        self._summaries.forget_after(self._state.images_seen)
        self._begin_counting()

    def save(self, *, healthy: bool) -> None:
        """Saves the state as of now."""
        self._checkpoints.save(healthy=healthy)

    def close(self) -> None:
        self._summaries.close()

    def phase_prepared(self, phase: Phase, result: StepResult, started: float) -> None:
        """Leaves a call in which a graph was made, such as a phase's first, out of the speed.

        Args:
          phase: being trained.
          result: of that call.
          started: `time.monotonic()` before it.
        """
        steps = len(result.scalars)  # waits for the device
        seconds = time.monotonic() - started
        print(f"{phase.name}: prepared in {seconds:.1f} s", flush=True)
        self._ticker.exclude(seconds, steps * phase.batch_size)

    def after_call(
        self,
        step: Step,
        result: StepResult,
        data_wait: float,
        *,
        stopping: bool,
        healthy: Callable[[], bool],
    ) -> None:
        """Counts the steps of a call and writes what has come due.

        Args:
          step: the last of those just done; `state.images_seen` is past it.
          result: what they tell.
          data_wait: seconds they waited for their batches.
          stopping: whether it is the last step of this process, so that everything is due.
          healthy: tells whether updates are finite. While they are not, checkpoints wait, but for
            the last, so that the newest one is worth going back to.
        """
        seen = self._state.images_seen
        ends_phase = seen >= step.phase.end
        ends_run = seen >= self._schedule.total_images
        last = ends_run or stopping
        self._ticker.add(result, data_wait=data_wait)
        due = due_events(self._config, self._checked_at, seen)
        self._checked_at = seen
        sample = "sample" in due or ends_phase or last
        self._checkpoint_is_due |= "checkpoint" in due or ends_phase
        checkpoint = (self._checkpoint_is_due and healthy()) or last
        network = "network" in due or (ends_phase and not step.phase.fading) or last
        evaluate = "evaluation" in due or (ends_phase and not step.phase.fading)
        # Not when asked to stop: it may take longer than whoever asked wants to wait.
        wanted = (evaluate or ends_run) and not stopping and healthy()
        evaluation = self._evaluation if wanted else None
        if not ("tick" in due or sample or checkpoint or network or evaluation):
            return
        self._write_tick(step)
        if sample:
            self._write_samples(step.phase)
        if network:
            self._save_generator(self._run.generator(seen), step.phase)
        # Before an evaluation, which may take long: nothing is lost if the process is killed in it.
        if checkpoint or evaluation:
            self._checkpoints.save(healthy=healthy())
            self._checkpoint_is_due = False
        if evaluation:
            self._evaluate(evaluation, step.phase)
        self.start_clock()

    def start_clock(self) -> None:
        """Measures the speed from now on."""
        self._ticker.restart(self._state.images_seen)

    def _write_tick(self, step: Step) -> None:
        phase, seen = step.phase, self._state.images_seen
        figures = self._ticker.report(seen)
        alpha = phase.alpha(seen)
        self._step_times.add(phase, figures["speed/seconds_per_kimg"] / 1000)
        eta = self._step_times.remaining(self._schedule, seen)
        print(progress_line(phase, alpha, seen, figures, eta), flush=True)
        figures.update(
            {
                "progress/kimg": seen / 1000,
                "progress/resolution": phase.resolution,
                "progress/alpha": alpha,
                "progress/batch_size": phase.batch_size,
                "progress/learning_rate": step.learning_rate,
                "progress/eta_hours": eta / 3600,
                **memory_figures(),
            }
        )
        self._summaries.write_figures(figures, seen)

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
            return ema(*inputs, resolution=phase.resolution, alpha=alpha).numpy()

        self._summaries.write_fakes(generate, self._state.images_seen, batch_size=phase.batch_size)

    def _evaluate(self, evaluation: TrainingEvaluation, phase: Phase) -> None:
        started = time.monotonic()
        try:
            figures = evaluation.evaluate(
                self._state.ema_generator, resolution=phase.resolution, alpha=self._alpha(phase)
            )
        except UserError as error:
            logging.warning("not evaluated: %s", error)
            return
        save = functools.partial(self._save_generator, self._run.best_generator, phase)
        best = evaluation.offer(figures, save)
        shown = "  ".join(f"{name} {format_figure(value)}" for name, value in figures.items())
        seconds = time.monotonic() - started
        print(f"{shown}{'  best so far' if best else ''}  ({seconds:.1f} s)", flush=True)
        tagged = {f"{TAG_PREFIX}{name}": value for name, value in figures.items()}
        self._summaries.write_figures(tagged, self._state.images_seen)

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
            latent_size=self._config.network.resolved_latent_size,
            label_size=self._config.network.label_size,
            label_names=self._summaries.label_names,
            label_rows=self._summaries.label_rows,
            **(more or {}),
        )
        save_generator(path, model, description)

    def _alpha(self, phase: Phase) -> float | None:
        """The fade of a generator that is shown or saved now."""
        return phase.alpha(self._state.images_seen) if phase.fading else None


class Bystander:
    """Stands in for the `Reporter` on all workers but the chief: reports and saves nothing."""

    def begin(self, phase: Phase, *, continued: bool) -> None:
        """The chief writes it."""

    def go_back(self) -> None:
        """Nothing was reported."""

    def start_clock(self) -> None:
        """The chief measures."""

    def phase_prepared(self, phase: Phase, result: StepResult, started: float) -> None:
        """The chief says it."""

    def after_call(
        self,
        step: Step,
        result: StepResult,
        data_wait: float,
        *,
        stopping: bool,
        healthy: Callable[[], bool],
    ) -> None:
        """The chief reports it."""

    def save(self, *, healthy: bool) -> None:
        """The chief has the same state."""

    def close(self) -> None:
        """Nothing is open."""
