"""Libraries written in C that parse foreign files, in a process of their own.

A damaged file can end the process that parses it, by SIGSEGV or SIGBUS, which nothing can catch. In
a child that is one line. The child's memory and time are bounded by the file's size.
"""

import contextlib
import functools
import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tfrecords_tools.errors import UserError
from tfrecords_tools.host import limit_memory
from tfrecords_tools.untrusted.regular_file import require_regular

# An interpreter of its own rather than a forked or spawned worker, which would import the program's
# main module: that may be a script that loads a network on its first line. Isolated (-I), it
# imports nothing from the current directory before it takes over this process's path.
_START = """\
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from tfrecords_tools.untrusted.isolated import serve
serve(connection)
"""
# Where this package is, should that be the current directory of an interactive session.
_HERE = str(Path(__file__).parents[2])
# Threads of BLAS take memory by their number, and parsers need none.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_CHUNK_BYTES = 1 << 26
# In addition to what the child has at its start, and times the file's size.
_MEMORY_BYTES, _MEMORY_FACTOR = 1 << 32, 4
# A disk on a busy network reads a megabyte in a second.
_SECONDS, _BYTES_PER_SECOND = 120.0, 1 << 20


class IsolatedParser:
    """An object in a child process, whose methods are called from this one.

    Threads may share it. Each process that uses it needs its own: it can't be pickled.
    """

    def __init__(self, make: Callable[[Path], Any], path: Path):
        """Start the child.

        Args:
          make: returns the object for a file; picklable. The object's methods take and return
            picklable values. An error of theirs that is no UserError means that the file is
            damaged.
          path: the file.

        Raises:
          OSError: there is no such file.
          UserError: it is not a file; or as `call`.
        """
        require_regular(path)
        self._path = path
        size = path.stat().st_size
        self._seconds = _SECONDS + size / _BYTES_PER_SECOND
        self._lock = threading.Lock()
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches this process alone, which ends the child
            )
        try:
            self._connection.send([*filter(None, sys.path), _HERE])
            self._connection.send((make, path, _MEMORY_BYTES + _MEMORY_FACTOR * size))
            self._receive()
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: Any) -> Any:
        """Return the result of a method.

        Raises:
          UserError: the file is damaged, so that the library failed, died, or did not end.
        """
        with self._lock:
            try:
                self._connection.send((method, arguments))
            except (BrokenPipeError, ConnectionResetError) as error:
                raise self._died() from error
            return self._receive()

    def close(self) -> None:
        """End the child."""
        self._connection.close()
        try:
            self._child.wait(1)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def __del__(self) -> None:
        """End the child, which has nothing to lose."""
        with contextlib.suppress(AttributeError):  # it was not started
            self._child.kill()
            self._child.wait()

    def _receive(self) -> Any:
        try:
            if not self._connection.poll(self._seconds):
                raise UserError(
                    f"{self._path}: damaged: its library does not end within {self._seconds:.0f} s"
                )
            pickled, sizes = self._connection.recv()
            buffers = [_receive_buffer(self._connection, size) for size in sizes]
        except (EOFError, ConnectionResetError) as error:
            raise self._died() from error
        result, fault = pickle.loads(pickled, buffers=buffers)
        if fault is not None:
            raise fault
        return result

    def _died(self) -> UserError:
        try:
            code = self._child.wait(5)
        except subprocess.TimeoutExpired:
            return UserError(f"{self._path}: damaged: the library that reads it fails")
        by = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return UserError(f"{self._path}: damaged: the library that reads it was ended by {by}")


class _ParserHere:
    """The same interface to an object in this process."""

    def __init__(self, make: Callable[[Path], Any], path: Path):
        require_regular(path)
        self._path = path
        with _explained(path):
            self._parser = make(path)

    def call(self, method: str, *arguments: Any) -> Any:
        """Return the result of a method; see `IsolatedParser.call`."""
        with _explained(self._path):
            return getattr(self._parser, method)(*arguments)

    def close(self) -> None:
        """Do nothing."""


def open_parser(make: Callable[[Path], Any], path: Path) -> IsolatedParser | _ParserHere:
    """Return an object that may end its process; see `IsolatedParser`.

    A worker process parses by itself, since `tfrecords_tools.parallel` says in one line if it dies.
    Only the process of the command needs another, and sends everything to and fro.
    """
    in_worker = multiprocessing.parent_process() is not None
    return (_ParserHere if in_worker else IsolatedParser)(make, path)


def run_isolated(function: Callable[[Path], Any], path: Path) -> Any:
    """Return `function(path)`, called in a child process; see `IsolatedParser`."""
    parser = IsolatedParser(_Once(function), path)
    try:
        return parser.call("result")
    finally:
        parser.close()


class _Once:
    """Makes an object whose only method calls a function of the file."""

    def __init__(self, function: Callable[[Path], Any]):
        self._function = function

    def __call__(self, path: Path) -> "_Once":
        self._path = path
        return self

    def result(self) -> Any:
        return self._function(self._path)


def serve(connection: Connection) -> None:
    """Answer calls until the other process closes the connection; runs in the child."""
    make, path, memory = connection.recv()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(memory)
    parser = _answer(connection, path, functools.partial(make, path), returns=False)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while parser is not None:
            method, arguments = connection.recv()
            _answer(connection, path, functools.partial(getattr(parser, method), *arguments))


def _answer(
    connection: Connection, path: Path, compute: Callable[[], Any], *, returns: bool = True
) -> Any:
    result, fault = None, None
    try:
        with _explained(path):
            result = compute()
    except UserError as error:
        fault = error
    buffers: list[pickle.PickleBuffer] = []
    answer = (result if returns else None, fault)
    pickled = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    connection.send((pickled, [len(view) for view in raw]))
    for view in raw:
        for start in range(0, len(view), _CHUNK_BYTES):
            connection.send_bytes(view[start : start + _CHUNK_BYTES])
    return result


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn every error into a UserError: the libraries fail in any way on a damaged file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged: {reason:.300}") from error


def _receive_buffer(connection: Connection, size: int) -> bytearray:
    buffer = bytearray(size)
    at = 0
    while at < size:
        at += connection.recv_bytes_into(buffer, at)
    return buffer
