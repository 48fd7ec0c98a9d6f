"""The child process of a dry run, and its messages to the parent.

The steps run in a child, because the operating system may kill it when memory runs out, and because
TensorFlow cannot exchange gradients after that. Needs no TensorFlow here.
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
from tfrecords_tools.parallel import elsewhere

# TensorFlow's allocator on CPUs with oneDNN reads it: steps above it fail as they do on GPUs.
LIMIT_VARIABLE = "TF_MKL_ALLOC_MAX_BYTES"

# Bytes that TensorFlow takes beside its tensors: libraries, graphs, scratch memory of kernels.
_BESIDE_TENSORS = 3 * 2**29


@dataclasses.dataclass(frozen=True)
class Started:
    """The child is ready.

    Attributes:
      replicas: number of replicas that batches are split over.
      devices: of the replicas, as `GPU:0, GPU:1`.
    """

    replicas: int
    devices: str


@dataclasses.dataclass(frozen=True)
class PhaseMeasured:
    """The steps of a phase ran.

    Attributes:
      prepared: seconds of the first step, which makes the graph.
      step_seconds: seconds of each of the following steps.
      peak: bytes of tensors on the fullest device.
      resident: most bytes of the host's memory that the child has taken so far.
    """

    prepared: float
    step_seconds: float
    peak: int
    resident: int


@dataclasses.dataclass(frozen=True)
class OutOfMemory:
    """A step did not fit in memory; the child ends.

    Attributes:
      expected: the step was not run, because the formula in `step_memory.py` exceeds the memory.
    """

    expected: bool = False


@dataclasses.dataclass(frozen=True)
class Crashed:
    """The child ended without a last message.

    Attributes:
      code: its exit code; negative: minus the number of the signal that killed it.
    """

    code: int


@dataclasses.dataclass(frozen=True)
class Finished:
    """All phases were tried; the child ends."""


@dataclasses.dataclass(frozen=True)
class UserMistake:
    """A `UserError`, which ends the child.

    Attributes:
      text: of the error.
      exit_code: of the error.
    """

    text: str
    exit_code: int = UserError.exit_code


Message = Started | PhaseMeasured | OutOfMemory | Crashed | Finished | UserMistake
Send = Callable[[Message], None]

# Runs in the child: tries the phases in order, at the batch sizes in them. Sends `Started`, then
# `PhaseMeasured` for each phase, or `OutOfMemory` as the last message.
Trial = Callable[[TrainConfig, list[Phase], Send], None]


def memory_limit() -> int | None:
    """Return the bytes of the host's memory that tensors may take; None if unknown."""
    given = os.environ.get(LIMIT_VARIABLE, "")
    if given.isdigit():
        return int(given)
    available = available_memory()
    return None if available is None else max(available - _BESIDE_TENSORS, _BESIDE_TENSORS)


@contextlib.contextmanager
def trial_process(
    trial: Trial, config: TrainConfig, phases: list[Phase], limit: int | None
) -> Iterator[Iterator[Message]]:
    """Start a child that tries the phases; yield an iterator over its messages.

    Args:
      trial: runs in the child.
      config: the run's, fitted to the data.
      phases: to try, in order, with the batch sizes to try.
      limit: bytes of the host's memory that tensors may take; None sets no limit.
    """
    # Spawned, not forked, so that its TensorFlow is its own.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    arguments = (trial, config, list(phases), limit, sender, os.getcwd())
    process = context.Process(target=_try, args=arguments, daemon=True)
    with elsewhere():
        process.start()
    sender.close()
    try:
        yield _messages(receiver, process)
    finally:
        process.kill()
        process.join()  # so that its memory is free again
        receiver.close()


def _messages(receiver: Connection, process: SpawnProcess) -> Iterator[Message]:
    """Yield the child's messages until it ends, with `Crashed` last if it sends no last message."""
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
    trial: Trial,
    config: TrainConfig,
    phases: list[Phase],
    limit: int | None,
    sender: Connection,
    directory: str,
) -> None:
    """Run in the child."""
    os.chdir(directory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends the child
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        # Should the machine run out of memory, this process is to be killed, no other.
        Path("/proc/self/oom_score_adj").write_text("1000")
    if limit is not None:
        os.environ[LIMIT_VARIABLE] = str(limit)
    try:
        trial(config, phases, sender.send)
        sender.send(Finished())
    except UserError as error:
        sender.send(UserMistake(str(error), error.exit_code))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
