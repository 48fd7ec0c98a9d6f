"""A trace of some steps by TensorFlow's profiler, for `--profile`."""

import os
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from pgan_tf.step.outputs import StepResult


class Profiler:
    """Counts the steps of a process and traces the requested ones, into `plugins/profile/`.

    A context manager: a trace that has begun is written even after an exception.
    """

    def __init__(self, steps: tuple[int, int] | None, directory: str | os.PathLike):
        """Trace nothing yet.

        Args:
          steps: the first and the last step to trace; 1 is this process's first. None for none.
          directory: the run directory; traces go below it, where TensorBoard looks for them.
        """
        self._first, self._last = steps or (0, -1)
        self._directory = str(directory)
        self._step = 0
        self._traced = 0
        self._tracing = False

    def run(self, call: Callable[[], StepResult], steps: int) -> StepResult:
        """Run a call of `steps` steps, traced if it holds a requested step."""
        first = self._step + 1
        self._step += steps
        if self._step < self._first or first > self._last:
            return call()
        if not self._tracing:
            self._traced = first
            tf.profiler.experimental.start(self._directory)
            self._tracing = True
        with tf.profiler.experimental.Trace("train", step_num=first, _r=1):
            # Wait for the device, so that the call's trace holds all of the call's work.
            result = call().read()
        if self._step >= self._last:
            self._stop()
        return result

    def _stop(self) -> None:
        self._tracing = False
        tf.profiler.experimental.stop()
        print(f"traced steps {self._traced} to {self._step}: tensorboard, page Profile", flush=True)

    def __enter__(self) -> "Profiler":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tracing:
            self._stop()
        elif self._step < self._first:
            logging.warning(
                "--profile=%d:%d traced nothing: this process took %d steps",
                self._first,
                self._last,
                self._step,
            )
