"""Running a function over many tasks on several cores, with bounded memory and a clean end."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from tfrecords_tools.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks handed out ahead of the results, for each worker: enough that none waits for work.
_AHEAD = 3


def run_unordered(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_workers: int
) -> Generator[Result, None, None]:
    """Yields `function(task)` for every task, in the order in which they finish.

    Args:
      function: picklable; sent to each worker once.
      tasks: picklable and small; taken from the iterable only as workers need them.
      num_workers: processes to use; with 1 everything runs in this one.

    Raises:
      UserError: a worker process died.
      Exception: whatever `function` raised, after the other workers have stopped.
    """
    yield from _run(function, tasks, num_workers, _take_finished)


def run_ordered(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_workers: int
) -> Generator[Result, None, None]:
    """As `run_unordered`, in the order of the tasks.

    A slow task holds the others up, rather than let their results pile up in memory.
    """
    yield from _run(function, tasks, num_workers, _take_first)


_Pending = list[concurrent.futures.Future]


def _run(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    num_workers: int,
    take: Callable[[_Pending], _Pending],
) -> Generator[Result, None, None]:
    if num_workers <= 1:
        yield from map(function, tasks)
        return
    # Not forked from here: a program that has threads, such as TensorFlow's, may call this. Forked
    # from a server that has imported everything, workers start at once, this time and the next.
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("forkserver"), _start_worker, (function,)
    )
    pending: _Pending = []
    try:
        for task in tasks:
            pending.append(_submit(executor, task))
            if len(pending) >= num_workers * _AHEAD:
                yield from (future.result() for future in take(pending))
        while pending:
            yield from (future.result() for future in take(pending))
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, perhaps for want of memory: try a smaller --num_workers."
            f" Received: {num_workers}"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _take_finished(pending: _Pending) -> _Pending:
    """Waits for any to finish; removes from `pending` and returns all that have."""
    done, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
    taken = [future for future in pending if future in done]
    pending[:] = [future for future in pending if future not in done]
    return taken


def _take_first(pending: _Pending) -> _Pending:
    """Removes the first from `pending` and returns it."""
    return [pending.pop(0)]


def _submit(executor: concurrent.futures.Executor, task: Any) -> concurrent.futures.Future:
    # Workers are started here and inherit the mask, so Ctrl-C reaches this process alone, which
    # then stops them in order. A Ctrl-C that comes meanwhile is delivered when the mask is lifted.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(_call, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Worker:
    """The function of a worker process: the one thing it must keep between tasks."""

    function: Callable[[Any], Any]


def _start_worker(function: Callable[[Any], Any]) -> None:
    _Worker.function = staticmethod(function)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent is gone: kill -9 leaves the parent no time to say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _call(task: Any) -> Any:
    return _Worker.function(task)
