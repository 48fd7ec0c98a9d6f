"""Worker processes that call a function for many tasks, with bounded memory and a clean end."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from tfrecords_tools.errors import UserError
from tfrecords_tools.host import limit_memory, limited_memory

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks handed out ahead of the results, for each worker: enough that none waits for work.
_AHEAD = 3
# Between two looks at whether a worker has died.
_PATIENCE_SECONDS = 1.0

# Memory that a worker may take beyond what it has at its start, unless it is said to need more:
# several times what any task takes, for a damaged file may ask for all there is.
WORKER_BYTES = 1 << 33

# An environment variable that keeps Python from importing modules of the current directory.
_SAFE_PATH = "PYTHONSAFEPATH"
_KNOWS_SAFE_PATH = sys.version_info >= (3, 11)


def run_unordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    num_workers: int,
    memory: int = WORKER_BYTES,
) -> Generator[Result, None, None]:
    """Yield `function(task)` for every task, in the order in which they finish.

    Args:
      function: picklable; sent to each worker once.
      tasks: picklable and small; taken from the iterable only as workers need them.
      num_workers: processes to use; with 1 everything runs in this one.
      memory: bytes that each process may take beyond what it has at its start.

    Raises:
      UserError: a worker process died, or would have taken more memory.
      Exception: the one that `function` raised, after the other workers have stopped.
    """
    yield from _run(function, tasks, num_workers, memory, _take_finished)


def run_ordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    num_workers: int,
    memory: int = WORKER_BYTES,
) -> Generator[Result, None, None]:
    """Yield `function(task)` for every task, in the order of the tasks; see `run_unordered`.

    A slow task delays the others, so that their results don't pile up in memory.
    """
    yield from _run(function, tasks, num_workers, memory, _take_first)


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Let Python processes that are started in the block import nothing from this directory.

    The current directory may be a stranger's. Before Python 3.11 the only way is to be in another
    one for that moment.
    """
    if _KNOWS_SAFE_PATH:
        was_set = _SAFE_PATH in os.environ
        os.environ.setdefault(_SAFE_PATH, "1")
        try:
            yield
        finally:
            if not was_set:
                del os.environ[_SAFE_PATH]
        return
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(os.sep)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


_Pending = list[concurrent.futures.Future]
_Executor = concurrent.futures.ProcessPoolExecutor


def _run(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    num_workers: int,
    memory: int,
    take: Callable[[_Executor, _Pending], _Pending],
) -> Generator[Result, None, None]:
    if num_workers <= 1:
        with limited_memory(memory):
            yield from (_call_within(function, task, memory) for task in tasks)
        return
    # Forking this process would be unsafe, since the caller may have threads, such as TensorFlow's.
    # Forked from a server that has imported everything, workers start at once, now and at later
    # calls.
    with elsewhere(), _signals_wait():
        multiprocessing.forkserver.ensure_running()
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("forkserver"), _start_worker, (function, memory)
    )
    pending: _Pending = []
    completed = False
    try:
        for task in tasks:
            pending.append(_submit(executor, task))
            if len(pending) >= num_workers * _AHEAD:
                yield from (future.result() for future in take(executor, pending))
        while pending:
            yield from (future.result() for future in take(executor, pending))
        completed = True
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed: for want of memory, where a smaller --num_workers helps"
            f" (it was {num_workers}), or by a damaged file"
        ) from error
    finally:
        if not completed:
            _kill_workers(executor)  # rather than wait for tasks whose results nobody wants
        executor.shutdown(wait=True, cancel_futures=True)


def _kill_workers(executor: _Executor) -> None:
    processes = _workers(executor)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
    # The executor may be in the middle of a result whose worker is gone. It reads on until the last
    # end for writing is closed, which is this process's own.
    results: Any = executor._result_queue
    if results is not None:
        results._writer.close()


def _workers(executor: _Executor) -> list[multiprocessing.process.BaseProcess]:
    return list((executor._processes or {}).values())


def _take_finished(executor: _Executor, pending: _Pending) -> _Pending:
    """Wait until a task has finished; remove all finished ones from `pending` and return them."""
    done = _wait(executor, pending)
    taken = [future for future in pending if future in done]
    pending[:] = [future for future in pending if future not in done]
    return taken


def _take_first(executor: _Executor, pending: _Pending) -> _Pending:
    """Wait until the first task has finished; remove it from `pending` and return it."""
    _wait(executor, pending[:1])
    return [pending.pop(0)]


def _wait(executor: _Executor, pending: _Pending) -> set[concurrent.futures.Future]:
    """Wait until one of some tasks has finished; return those that have.

    Raises:
      BrokenProcessPool: a worker died in the middle of sending a result. The executor, which
        notices the death of others, reads on for ever, and so do workers that wait their turn.
    """
    died = False
    while True:
        done, _ = concurrent.futures.wait(
            pending, _PATIENCE_SECONDS, concurrent.futures.FIRST_COMPLETED
        )
        if done:
            return done
        if died:
            raise BrokenProcessPool
        # Once more, for the executor to notice it.
        died = bool(
            multiprocessing.connection.wait([each.sentinel for each in _workers(executor)], 0)
        )


def _submit(executor: _Executor, task: Any) -> concurrent.futures.Future:
    with _signals_wait():  # workers are started here
        return executor.submit(_call, task)


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Block the signals of a terminal, for ever in the processes that are started in the block.

    They inherit the mask, so that Ctrl-C and a hang-up reach this process alone, which then stops
    them. A signal that comes meanwhile is delivered when the mask is restored.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Worker:
    """The state of a worker process: its function, and the memory that it may take."""

    function: Callable[[Any], Any]
    memory: int


def _start_worker(function: Callable[[Any], Any], memory: int) -> None:
    _Worker.function = staticmethod(function)
    _Worker.memory = memory
    limit_memory(memory)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone, which has no time for that after kill -9."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _call(task: Any) -> Any:
    return _call_within(_Worker.function, task, _Worker.memory)


def _call_within(function: Callable[[Any], Any], task: Any, memory: int) -> Any:
    try:
        return function(task)
    except MemoryError as error:
        raise UserError(
            f"out of memory, of which a process may take {memory / 2**30:.0f} GiB: a file is"
            " damaged or too large"
        ) from error
