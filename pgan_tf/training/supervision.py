"""When training stops, goes back, or is lost: decided alike by all workers of a run."""

import contextlib
import copy
import re
import signal
from collections.abc import Iterator

import tensorflow as tf

from pgan_tf.distribution.cluster import Cluster
from pgan_tf.step.outputs import StepResult
from pgan_tf.training.interrupts import Interrupts
from tfrecords_tools.errors import UserError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# What TensorFlow raises in a process whose peers have gone, and what it says then: the same classes
# are raised by faults of a device.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_OF_PEERS = re.compile(
    r".*(collective|coordination|peer|heartbeat|\bRPC\b|grpc|/job:worker|connection).*", re.I
)


class DivergedError(UserError):
    """Updates were not finite any more, and going back did not help."""

    exit_code = 3


class LostWorkerError(UserError):
    """Another worker has gone. Starting all of them again continues the run."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


class TooManySkippedError(Exception):
    """As many updates in a row as the user allows were not finite."""


class Supervisor:
    """Looks at the outcome of every step.

    What a call's steps tell is looked at while the next call runs, so that no device waits for it;
    what is decided then holds on all workers, because the outcome is the same for all.
    """

    def __init__(self, cluster: Cluster, interrupts: Interrupts, *, max_skipped_updates: int):
        """
        Args:
          cluster: which worker this is.
          interrupts: the signals this process has received.
          max_skipped_updates: skipped in a row, at which training goes back; 0 never does.
        """
        self._cluster = cluster
        self._interrupts = interrupts
        self._max_skipped = max_skipped_updates
        self.restart()

    def restart(self) -> None:
        """Begins anew, as after going back."""
        self._last: StepResult | None = None
        self._skips = _Skips()

    def healthy(self) -> bool:
        """Whether updates were finite up to the last step but one; waits for a call of several.

        Not if so many were skipped in a row that the next `check` goes back, even if those after
        them were finite: what is saved now is not to be gone back to.
        """
        skips = copy.deepcopy(self._skips)
        # One step's own outcome is never waited for.
        if self._last is not None and len(self._last.tensor) > 1:
            for in_a_row in skips.count(self._last, slice(-1)):
                if self._too_many(in_a_row):
                    return False
        return skips.in_a_row == 0

    def stop_flags(self) -> list[float]:
        """One number for each signal: 1.0 if this worker has received it, else 0.0."""
        return [float(self._interrupts.received == number) for number in _SIGNALS]

    def check(self, result: StepResult) -> signal.Signals | None:
        """Looks at the steps of the call before the one that was just started.

        Args:
          result: of the call just started.

        Returns:
          The signal by which training is to stop after it, or None. Of several workers, the one
          that received it and all others stop after the same call.

        Raises:
          TooManySkippedError: it is time to go back.
        """
        last, self._last = self._last, result
        if last is not None:
            for in_a_row in self._skips.count(last):
                if self._too_many(in_a_row):
                    raise TooManySkippedError
        if self._cluster.count == 1:
            return self._interrupts.received
        if last is not None:
            for number, flag in zip(_SIGNALS, last.stop_flags, strict=True):
                if flag:
                    return number
        return None

    def _too_many(self, in_a_row: int) -> bool:
        return bool(self._max_skipped) and in_a_row >= self._max_skipped


class _Skips:
    """Counts updates that were skipped in a row.

    Attributes:
      in_a_row: how many steps, up to the last one counted.
    """

    def __init__(self) -> None:
        self.in_a_row = 0
        self._outcomes: dict[str, bool] = {}  # whether each network's last update was skipped

    def count(self, result: StepResult, steps: slice = slice(None)) -> Iterator[int]:
        """Counts some steps of a call, and yields `in_a_row` after each."""
        columns = [i for i, name in enumerate(result.names) if name.endswith("_skipped")]
        names = [result.names[i] for i in columns]
        for skipped in result.scalars[steps, columns].astype(bool).tolist():
            # A step that leaves the generator alone does not tell that its updates are finite
            # again.
            self._outcomes.update(zip(names, skipped, strict=True))
            if any(skipped):
                self.in_a_row += 1
            elif not any(self._outcomes.values()):
                self.in_a_row = 0
            yield self.in_a_row


@contextlib.contextmanager
def explain_lost_workers(cluster: Cluster) -> Iterator[None]:
    """Turns what TensorFlow says when another worker has gone into a `LostWorkerError`."""
    try:
        yield
    except _LOST as error:
        reason = _OF_PEERS.search(str(error))
        if cluster.count == 1 or not reason:
            raise
        raise LostWorkerError(
            f"worker {cluster.index} of {cluster.count}: another worker has gone, or can't be "
            "reached; its own output says why. Start all of them again: the run continues from its "
            f"last checkpoint. TensorFlow says: {reason[0][:200]}"
        ) from error
