"""Commands as processes of their own, forked from one that has imported TensorFlow.

To import it takes three seconds of CPU, which is most of what a short run takes. The server that is
forked from runs no TensorFlow, only imports it, so that its children start as after an import.
Where an import itself is tested, or reads the environment, start a new interpreter.
"""

import atexit
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tensorflow", "pgan_tf.training.loop"])

TRAIN = "pgan_tf.cli.train"


def _run(module, arguments, outputs, environment, directory):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    for descriptor, output in zip((1, 2), outputs, strict=True):
        is_pipe = isinstance(output, Connection)
        opened = output.fileno() if is_pipe else os.open(output, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
    # Those of the server were made for whatever its descriptors were.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.exit(importlib.import_module(module).main([*map(str, arguments)]))


class Forked:
    """A process that runs a module's `main`, with as much of `subprocess.Popen` as tests use.

    Attributes:
      pid: of the process.
      stdout: what it prints, as lines; None if that goes to a file.
    """

    def __init__(self, module, *arguments, log=None, env=None, cwd=None):
        """Start the process.

        Args:
          module: of the function `main`, which takes the arguments and returns the exit code.
          *arguments: of the command line.
          log: file that takes stdout and stderr; None for pipes.
          env: environment; None for that of this process.
          cwd: directory; None for that of this process.
        """
        if log:
            Path(log).write_text("")
        pipes = [] if log else [_CONTEXT.Pipe(duplex=False) for _ in range(2)]
        outputs = [log, log] if log else [writer for _, writer in pipes]
        given = (module, arguments, outputs, dict(env or os.environ), str(cwd or Path.cwd()))
        self._process = _CONTEXT.Process(target=_run, args=given)
        self._process.start()
        atexit.register(self._process.kill)
        for _, writer in pipes:
            writer.close()
        self._readers = [reader for reader, _ in pipes]
        texts = [os.fdopen(os.dup(reader.fileno()), encoding="utf-8") for reader in self._readers]
        self.stdout, self._stderr = texts or (None, None)
        self.pid = self._process.pid

    @property
    def returncode(self):
        """The exit code; minus a signal's number if one killed it; None while it runs."""
        return self._process.exitcode

    def poll(self):
        """Return the exit code, or None while the process runs."""
        return self._process.exitcode

    def wait(self, timeout=None):
        """Return the exit code once the process has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout)
        return self._process.exitcode

    def communicate(self, timeout=None):
        """Return what is left of stdout, and stderr, once the process has ended."""
        errors = []
        reading = threading.Thread(target=lambda: errors.append(self._stderr.read()))
        reading.start()
        output = self.stdout.read()
        reading.join()
        self.wait(timeout)
        return output, errors[0]

    def send_signal(self, number):
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)
