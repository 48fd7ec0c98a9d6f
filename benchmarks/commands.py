"""Commands of this package as processes, for benchmarks that take hours.

SIGINT and SIGTERM end the running commands, which save first, and then the benchmark.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

_MODULES = {
    "prepare-tfrecords": "tfrecords_tools.cli.prepare",
    "train": "pgan_tf.cli.train",
    "evaluate": "pgan_tf.cli.evaluate",
}


class Commands:
    """Runs commands of this package, each in a process, so that a signal ends them and us."""

    def __init__(self, *, threads: int):
        self._environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads)}
        self._environment["OPENBLAS_NUM_THREADS"] = str(threads)
        self._running: set[subprocess.Popen] = set()
        self._signal = 0

    def __enter__(self) -> "Commands":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    def _stop(self, number: int, _: object) -> None:
        self._signal = number
        for process in list(self._running):
            process.send_signal(signal.SIGTERM)

    def run(self, command: str, arguments: Sequence[str]) -> str | None:
        """Runs pgan-`command`.

        Returns:
          The last line of what it said, if it failed; else None.

        Raises:
          SystemExit: we were told to stop.
        """
        print(f"pgan-{command} {shlex.join(arguments)}", flush=True)
        with self._started([sys.executable, "-m", _MODULES[command], *arguments]) as process:
            output, _ = process.communicate()
        if self._signal:
            raise SystemExit(128 + self._signal)
        last = (output.strip().splitlines() or ["said nothing"])[-1]
        print(last, flush=True)
        return f"exit code {process.returncode}: {last}" if process.returncode else None

    @contextlib.contextmanager
    def _started(self, command: Sequence[str]) -> Iterator[subprocess.Popen]:
        if self._signal:
            raise SystemExit(128 + self._signal)
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and them through us
        )
        self._running.add(process)
        try:
            yield process
        finally:
            self._running.discard(process)
