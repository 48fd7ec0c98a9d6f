"""Signals that stop a command: the first lets it tidy up, the second ends it at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def interruptible(
    name: str, signals: Sequence[signal.Signals] = (signal.SIGINT,), *, ends_process: bool = False
) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block at the first of some signals, and say so at once.

    A second one ends the process, without cleaning up. Signals that are ignored stay ignored, as
    under `nohup`. In threads other than the main one, signals are left alone.

    Args:
      name: of the command, for the line.
      signals: the signals to take for an interrupt.
      ends_process: the process ends after the block, so that a second signal does so there too.
    """
    stopping = False

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal stopping
        if stopping:
            os._exit(EXIT_INTERRUPTED)
        stopping = True
        _say_at_once(f"{name}: stopping; once more ends it at once")
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        if not (stopping and ends_process):
            for number, handler in previous.items():
                signal.signal(number, handler)


def _say_at_once(line: str) -> None:
    """Write a line to stderr: not by its buffer, in the middle of whose work a signal may come."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stderr.fileno()
        below = "\n" if os.isatty(descriptor) else ""  # below a progress bar
        os.write(descriptor, f"{below}{line}\n".encode())
