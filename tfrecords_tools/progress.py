"""Progress of long work: a bar on a terminal; elsewhere, as in a log, a line every half minute."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

# Seconds between lines of a log, and between updates of a bar that only tells the time.
LINE_SECONDS = 30.0
_REFRESH_SECONDS = 0.5


class Progress:
    """Progress of work of which the amount is known; a context manager. Threads may share it."""

    def __init__(
        self,
        total: int | None,
        unit: str,
        description: str = "",
        *,
        initial: int = 0,
        keep: bool = True,
    ):
        """Show nothing yet, except a bar on a terminal.

        Args:
          total: amount of the work; None if unknown.
          unit: plural of what is counted, or "B" for bytes.
          description: of the work, in a word or two; "" for none.
          initial: amount that is done already.
          keep: leave the bar on the terminal when the work is done.
        """
        self._unit, self._total, self._done = unit, total, initial
        self._initial, self._description = initial, description
        self._lock = threading.Lock()
        self._began = self._said = time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=unit if unit == "B" else f" {unit}",
            unit_scale=unit == "B",
            desc=description or None,
            leave=keep,
            disable=None,
        )

    def update(self, amount: int) -> None:
        """Add an amount of work that is done."""
        with self._lock:
            self._done += amount
            self._bar.update(amount)
            now = time.monotonic()
            if self._bar.disable and now - self._said >= LINE_SECONDS:
                self._said = now
                _write_line(self._line(now))

    def _line(self, now: float) -> str:
        scale, unit = (1e6, "MB") if self._unit == "B" else (1, self._unit)
        of = "" if self._total is None else f" of {self._total / scale:.0f}"
        line = f"{self._done / scale:.0f}{of} {unit}"
        done = self._done - self._initial
        if self._total is not None and done:
            left = (now - self._began) * max(self._total - self._done, 0) / done
            line += f", {tqdm.format_interval(left)} left"
        return f"{self._description}: {line}" if self._description else line

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def tracked(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """Yield items, and show how many were taken; see `Progress`."""
    with Progress(total, unit) as progress:
        for item in items:
            yield item
            progress.update(1)


@contextlib.contextmanager
def working(description: str, status: Callable[[], str] | None = None) -> Iterator[None]:
    """Show for how long the work of the block has been going on, where nothing can be counted.

    Args:
      description: of the work, in a word or two.
      status: returns how far it is, in words; called in another thread.
    """
    began = time.monotonic()
    ended = threading.Event()
    bar = tqdm(bar_format="{desc}", leave=False, disable=None)

    def text() -> str:
        elapsed = tqdm.format_interval(time.monotonic() - began)
        return f"{description}: {f'{status()}, ' if status else ''}{elapsed} so far"

    def show() -> None:
        interval = LINE_SECONDS if bar.disable else _REFRESH_SECONDS
        while not ended.wait(interval):
            if bar.disable:
                _write_line(text())
            else:
                bar.set_description_str(text())

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        bar.close()


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
