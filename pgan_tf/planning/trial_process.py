"""A process that tries steps out, and what it says to the one that started it.

A process of its own, because TensorFlow may be ended by the operating system when memory is short,
and cannot exchange gradients any more after it ran out. This file imports no TensorFlow.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from pgan_tf.config import TrainConfig
from pgan_tf.config.phases import Phase
from tfrecords_tools.errors import UserError
from tfrecords_tools.host import available_memory

# Read by TensorFlow's allocator on CPUs with oneDNN: beyond it, steps fail as they do on GPUs.
LIMIT_VARIABLE = "TF_MKL_ALLOC_MAX_BYTES"

# What TensorFlow takes beside its tensors: libraries, graphs, scratch memory of kernels.
_BESIDE_TENSORS = 3 * 2**29


@dataclasses.dataclass(frozen=True)
class Started:
    """The trial's process is ready.

    Attributes:
      replicas: that batches are split over.
      devices: that they run on, as `GPU:0, GPU:1`.
    """

    replicas: int
    devices: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A phase's step ran.

    Attributes:
      prepared: seconds of the first, which makes its graph.
      step_seconds: of those that followed.
      peak: bytes of tensors on the fullest device.
      resident: bytes that the process has taken of the host's memory so far.
    """

    prepared: float
    step_seconds: float
    peak: int
    resident: int


@dataclasses.dataclass(frozen=True)
class OutOfMemory:
    """A phase's step did not fit; the process ends.

    Attributes:
      expected: it was not run, because the formula of `step_memory.py` says so.
    """

    expected: bool = False


@dataclasses.dataclass(frozen=True)
class Crashed:
    """The process ended without a word; `code` is its exit code, a negative signal's number."""

    code: int


@dataclasses.dataclass(frozen=True)
class Finished:
    """All was said; the process ends."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A user's mistake, which ends the process; `text` and `exit_code` are the error's."""

    text: str
    exit_code: int = UserError.exit_code


Message = Started | Measured | OutOfMemory | Crashed | Finished | Mistake
Send = Callable[[Message], None]

# Runs in the trial's process: tries the phases, with the batch sizes in them, in order, and sends a
# `Started`, then for each a `Measured`, or an `OutOfMemory` after which nothing follows.
Trial = Callable[[TrainConfig, list[Phase], Send], None]


def memory_limit() -> int | None:
    """Bytes of the host's memory that tensors may take; None if that is unknown."""
    given = os.environ.get(LIMIT_VARIABLE, "")
    if given.isdigit():
        return int(given)
    available = available_memory()
    return None if available is None else max(available - _BESIDE_TENSORS, _BESIDE_TENSORS)


@contextlib.contextmanager
def trial_process(
    trial: Trial, config: TrainConfig, phases: list[Phase], limit: int | None
) -> Iterator[Iterator[Message]]:
    """A process that tries the phases, as what it says."""
    # Spawned, not forked, so that its TensorFlow is its own.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (trial, config, list(phases), limit, sender)
    process = context.Process(target=_try, args=arguments, daemon=True)
    process.start()
    sender.close()
    try:
        yield _messages(receiver, process)
    finally:
        process.kill()
        process.join()  # so that its memory is free again
        receiver.close()


def _messages(receiver: Connection, process: SpawnProcess) -> Iterator[Message]:
    """What the process says until it ends, and then how it ended, if it could not say so."""
    last: Message | None = None
    while not isinstance(last, Finished | OutOfMemory):
        try:
            last = receiver.recv()
        except EOFError:
            process.join()
            last = Crashed(process.exitcode or 0)
            yield last
            return
        yield last


def _try(
    trial: Trial, config: TrainConfig, phases: list[Phase], limit: int | None, sender: Connection
) -> None:
    """The process's own part."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        # Should the machine run out of memory, this is the process to end, no other.
        Path("/proc/self/oom_score_adj").write_text("1000")
    if limit is not None:
        os.environ[LIMIT_VARIABLE] = str(limit)
    try:
        trial(config, phases, sender.send)
        sender.send(Finished())
    except UserError as error:
        sender.send(Mistake(str(error), error.exit_code))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
