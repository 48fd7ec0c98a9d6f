"""Running ahead of the devices: calls are started before the results of earlier ones are known.

On GPUs a call returns once its steps are queued. If the loop read each result before the next
call, a device would wait for the host after every step; so results are read some calls later, by
other threads. Which results are known when a call has been started depends only on their number,
never on timing, so that all workers of a run decide alike.
"""

import collections
import concurrent.futures
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import tensorflow as tf

from pgan_tf.distribution.strategy import is_on_gpus
from pgan_tf.reporting.scalars import FinishedCall
from pgan_tf.step.outputs import StepResult
from pgan_tf.training.feeding import Call

# Calls that may be unfinished while the next one is started.
_CALLS_AHEAD_ON_GPUS = 4
# On CPUs a call returns when its steps are done; what can be known is still known one call later.
_CALLS_AHEAD_ON_CPUS = 1


class RunAhead:
    """A context that holds the calls that have been started and not been looked at.

    At its end, it waits for the devices.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        """Hold no calls.

        Args:
          strategy: the replicas.
        """
        on_gpus = is_on_gpus(strategy)
        self._lag = _CALLS_AHEAD_ON_GPUS if on_gpus else _CALLS_AHEAD_ON_CPUS
        # A thread for each unfinished call, because a transfer waits for everything that has been
        # queued on its device by then: one that begins after the next call would wait for it too.
        self._readers = (
            concurrent.futures.ThreadPoolExecutor(self._lag + 1, thread_name_prefix="results")
            if on_gpus
            else None
        )
        self._unfinished: collections.deque[Callable[[], FinishedCall]] = collections.deque()

    def start(
        self, call: Call, run: Callable[[], StepResult], *, started: float, makes_graph: bool
    ) -> None:
        """Start a call.

        Args:
          call: to be started.
          run: starts its steps; the result is not waited for.
          started: `time.monotonic()` when the host began to work for this call.
          makes_graph: whether it is the first of its graph.
        """
        result = run()
        host_seconds = time.monotonic() - started

        def finish() -> FinishedCall:
            read = result.read()
            return FinishedCall(
                steps=call.steps,
                result=read,
                data_wait=call.data_wait,
                host_seconds=host_seconds,
                started=started,
                finished=time.monotonic(),
                makes_graph=makes_graph,
            )

        if self._readers is None:
            finished = finish()
            self._unfinished.append(lambda: finished)
        else:
            self._unfinished.append(self._readers.submit(finish).result)

    def finished(self, *, everything: bool) -> Iterator[FinishedCall]:
        """Yield the calls to look at now, oldest first, each once.

        Args:
          everything: wait for all calls that have been started; otherwise the newest ones stay
            unfinished.
        """
        while len(self._unfinished) > (0 if everything else self._lag):
            yield self._unfinished.popleft()()

    def __enter__(self) -> "RunAhead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unfinished.clear()
        if self._readers is not None:
            self._readers.shutdown()
