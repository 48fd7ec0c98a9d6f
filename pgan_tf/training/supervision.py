"""Supervision of the training loop: signals that stop it, and skipped updates.

All workers of a run decide alike, because they look at the same numbers.
"""

import dataclasses
import signal
import threading
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any

from pgan_tf.distribution.cluster import Cluster
from pgan_tf.step.outputs import StepResult

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Scalars of a step: 1 if a network's update was skipped, because its gradient was not finite.
_SKIPPED = ("updates/discriminator_skipped", "updates/generator_skipped")


class TooManySkippedError(Exception):
    """More updates in a row were skipped than the user allows."""


class Interrupts:
    """A context that records SIGINT and SIGTERM instead of ending the process.

    The training loop looks between calls whether it should stop. A second SIGINT raises
    KeyboardInterrupt at once.

    Attributes:
      received: the last signal received, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        # Python can handle signals in the main thread only; in others they are the caller's.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._record) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)


class Supervisor:
    """A check of every call's outcome: should training go on, stop, or go back to a checkpoint?

    The outcome of a call is read while the next call runs, so that no device waits for the host.
    It is the same on all workers, and so is the decision.
    """

    def __init__(self, cluster: Cluster, interrupts: Interrupts, *, max_skipped_updates: int):
        """Supervise from the first step on.

        Args:
          cluster: the workers.
          interrupts: the signals that this process receives.
          max_skipped_updates: the number of skipped updates in a row at which training goes back
            to a checkpoint; 0 for never.
        """
        self._cluster = cluster
        self._interrupts = interrupts
        self._max_skipped = max_skipped_updates
        self.restart()

    def restart(self) -> None:
        """Forget all outcomes, after training has gone back to a checkpoint."""
        self._last: StepResult | None = None  # of the newest call, not counted yet
        self._skips = _SkipCount()

    def healthy(self) -> bool:
        """Return whether updates are finite, so that the state is worth going back to.

        The newest step is not looked at, because that would wait for the device. Of a call of
        several steps the others are. If too many were skipped in a row, so that the next `check`
        goes back, the state is not healthy even if later updates were finite.
        """
        if self._last is None or len(self._last.tensor) == 1:
            return self._skips.in_a_row == 0
        counts = self._skips.after(self._last, slice(-1))
        return counts[-1].in_a_row == 0 and not any(map(self._are_too_many, counts))

    def stop_flags(self) -> list[float]:
        """Return one number for each signal: 1.0 if this worker has received it, else 0.0."""
        return [float(self._interrupts.received == number) for number in _SIGNALS]

    def check(self, result: StepResult) -> signal.Signals | None:
        """Look at the outcome of the call before the one that was just started.

        Args:
          result: the result of the call just started, which the next `check` looks at.

        Returns:
          The signal for which training should stop after the call just started, or None. Several
          workers all stop after the same call, whichever of them received the signal.

        Raises:
          TooManySkippedError: training should go back to a checkpoint.
        """
        last, self._last = self._last, result
        if last is not None:
            counts = self._skips.after(last)
            if any(map(self._are_too_many, counts)):
                raise TooManySkippedError
            self._skips = counts[-1]
        if self._cluster.count == 1:
            return self._interrupts.received
        if last is not None:
            for number, flag in zip(_SIGNALS, last.stop_flags, strict=True):
                if flag:
                    return number
        return None

    def _are_too_many(self, count: "_SkipCount") -> bool:
        return bool(self._max_skipped) and count.in_a_row >= self._max_skipped


@dataclasses.dataclass(frozen=True)
class _SkipCount:
    """The number of steps in a row with a skipped update.

    Attributes:
      in_a_row: steps with a skipped update since both networks' updates were finite.
      skipping: the names in `_SKIPPED` of networks whose last update was skipped.
    """

    in_a_row: int = 0
    skipping: frozenset[str] = frozenset()

    def after(self, result: StepResult, steps: slice = slice(None)) -> list["_SkipCount"]:
        """Return the counts after each of a call's steps. Waits for the device."""
        names = [name for name in _SKIPPED if name in result.names]
        columns = [result.names.index(name) for name in names]
        counts, count = [], self
        for skipped in result.scalars[steps, columns].astype(bool).tolist():
            count = count._after_step(dict(zip(names, skipped, strict=True)))
            counts.append(count)
        return counts

    def _after_step(self, skipped: Mapping[str, bool]) -> "_SkipCount":
        # A step that doesn't update the generator leaves open whether that is finite again.
        untouched = self.skipping - skipped.keys()
        skipping = untouched | {name for name, is_skipped in skipped.items() if is_skipped}
        if any(skipped.values()):
            return _SkipCount(self.in_a_row + 1, skipping)
        return _SkipCount(self.in_a_row if skipping else 0, skipping)
