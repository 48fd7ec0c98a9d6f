"""Supervision of the training loop: signals that stop it, and skipped updates.

All workers of a run decide alike, because they look at the same numbers.
"""

import dataclasses
import itertools
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any

from pgan_tf.distribution.cluster import Cluster
from pgan_tf.step.outputs import StepResult

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Scalars of a step: 1 if a network's update was skipped, because its gradient was not finite.
_SKIPPED = ("updates/discriminator_skipped", "updates/generator_skipped")


# So many updates in a row are not skipped because a loss scale is being sought.
_MANY_SKIPPED = 50


class TooManySkippedError(Exception):
    """More updates in a row were skipped than the user allows."""


class Interrupts:
    """A context that records SIGINT, SIGTERM and SIGHUP instead of ending the process.

    The training loop looks between calls whether it should stop. A second SIGINT raises
    KeyboardInterrupt at once. SIGHUP, of a terminal that is closed, stays ignored under `nohup`.

    Attributes:
      received: the last signal received, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def __enter__(self) -> "Interrupts":
        # Python can handle signals in the main thread only; in others they are the caller's.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._record)
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
        if number == signal.SIGHUP:
            _end_output_nowhere(self._terminals)
        self.received = signal.Signals(number)


def _end_output_nowhere(descriptors: Sequence[int]) -> None:
    """Drop what is written to a terminal that is gone: it would be an error before all is saved."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Supervisor:
    """A look at every call's result: should training go on, stop, or go back to a checkpoint?

    Results are the same on all workers, which look at them after the same calls (`run_ahead.py`),
    and so is the decision.

    Attributes:
      updates: number of steps since the first one of this process.
      skipped: number of those of which an update was skipped.
      should_go_back: too many updates in a row were skipped.
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
        self.updates = 0
        self.skipped = 0
        self.restart()

    def restart(self) -> None:
        """Begin to look anew, after training has gone back to a checkpoint."""
        self._skips = _SkipCount()
        self._steps = 0
        self._signal: signal.Signals | None = None  # received by any of several workers
        self.should_go_back = False

    @property
    def healthy(self) -> bool:
        """True if updates are finite, so that the state is worth going back to.

        If too many were skipped in a row, it is not, even if later updates were finite.
        """
        return self._skips.in_a_row == 0 and not self.should_go_back

    def skipped_to_the_end(self, *, healthy_before: bool) -> int:
        """Return the number of the last updates that were all skipped, if a run must not end so.

        Args:
          healthy_before: whether updates before those of this process were finite. Then it takes
            many to be sure; otherwise most of this process's.

        Returns:
          0 if the run may end.
        """
        most = self._steps // 2 + 1
        enough = _MANY_SKIPPED if healthy_before else min(most, _MANY_SKIPPED)
        return self._skips.in_a_row if self._skips.in_a_row >= enough else 0

    def stop_flags(self) -> list[float]:
        """Return one number for each signal: 1.0 if this worker has received it, else 0.0."""
        return [float(self._interrupts.received == number) for number in _SIGNALS]

    def look_at(self, result: StepResult) -> None:
        """Count the skipped updates and signals in the result of the next call."""
        counts = self._skips.after(result)
        changes = itertools.pairwise([self._skips, *counts])
        self.skipped += sum(after.in_a_row > before.in_a_row for before, after in changes)
        self.updates += len(counts)
        self._steps += len(counts)
        self._skips = counts[-1]
        if self._max_skipped:
            self.should_go_back |= any(c.in_a_row >= self._max_skipped for c in counts)
        for number, flag in zip(_SIGNALS, result.stop_flags, strict=True):
            if flag and self._signal is None:
                self._signal = number

    def stop_signal(self) -> signal.Signals | None:
        """Return the signal for which training should stop now, or None.

        Several workers all stop after the same call, whichever of them received the signal.
        """
        return self._interrupts.received if self._cluster.count == 1 else self._signal


@dataclasses.dataclass(frozen=True)
class _SkipCount:
    """The number of steps in a row with a skipped update.

    Attributes:
      in_a_row: steps with a skipped update since both networks' updates were finite.
      skipping: the names in `_SKIPPED` of networks whose last update was skipped.
    """

    in_a_row: int = 0
    skipping: frozenset[str] = frozenset()

    def after(self, result: StepResult) -> list["_SkipCount"]:
        """Return the counts after each of a call's steps."""
        names = [name for name in _SKIPPED if name in result.names]
        columns = [result.names.index(name) for name in names]
        counts, count = [], self
        for skipped in result.scalars[:, columns].astype(bool).tolist():
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
