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
    if num_workers <= 1:
        yield from map(function, tasks)
        return
    # Spawned, not forked: a program that has threads, such as TensorFlow's, may call this.
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("spawn"), _start_worker, (function,)
    )
    pending: set[concurrent.futures.Future] = set()
    try:
        for task in tasks:
            pending.add(_submit(executor, task))
            if len(pending) >= num_workers * _AHEAD:
                done, pending = _wait(pending)
                yield from (future.result() for future in done)
        while pending:
            done, pending = _wait(pending)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, perhaps for want of memory: try a smaller --num_workers."
            f" Received: {num_workers}"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _submit(executor: concurrent.futures.Executor, task: Any) -> concurrent.futures.Future:
    # Workers are started here and inherit the mask, so Ctrl-C reaches this process alone, which
    # then stops them in order. A Ctrl-C that comes meanwhile is delivered when the mask is lifted.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(_call, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(pending: set) -> tuple[set, set]:
    return concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)


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
