"""A trace of some steps by TensorFlow's profiler, for `--profile`."""

import os
from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf
from absl import logging

Result = TypeVar("Result")


class Profiler:
    """Counts a process's steps and traces those asked for, into `plugins/profile/`.

    A context manager: a trace is ended and written however its steps end.
    """

    def __init__(self, steps: tuple[int, int] | None, directory: str | os.PathLike):
        """
        Args:
          steps: the first and the last to trace; 1 is this process's first. None: none.
          directory: the run's; traces go below it, where TensorBoard looks for them.
        """
        self._first, self._last = steps or (0, -1)
        self._directory = str(directory)
        self._step = 0
        self._tracing = False

    def run(self, step: Callable[[], Result]) -> Result:
        """Runs one step, traced if it is one of those asked for, and returns what it returns."""
        self._step += 1
        if not self._first <= self._step <= self._last:
            return step()
        if not self._tracing:
            tf.profiler.experimental.start(self._directory)
            self._tracing = True
        with tf.profiler.experimental.Trace("train", step_num=self._step, _r=1):
            result = step()
            # Waits for the device, so that the step's trace holds the step's work.
            for value in tf.nest.flatten(result):
                value.numpy()
        if self._step == self._last:
            self._stop()
        return result

    def _stop(self) -> None:
        self._tracing = False
        tf.profiler.experimental.stop()
        print(f"traced steps {self._first} to {self._step}: tensorboard, page Profile", flush=True)

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
