"""Signals that stop a command."""

import signal
import subprocess
import sys

import pytest

from tfrecords_tools.command.interruption import interruptible


def test_the_first_is_said_and_raised_and_handlers_are_restored(capfd):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible("pgan-x"):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_the_second_ends_the_process_whatever_it_waits_for():
    code = (
        "import signal, time\n"
        "from tfrecords_tools.command.interruption import interruptible\n"
        "with interruptible('pgan-x'):\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    finally:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 130
    assert ended.stderr == "pgan-x: stopping; once more ends it at once\n"


@pytest.mark.parametrize("ends_process", [True, False])
def test_the_second_may_come_as_the_process_ends(ends_process):
    code = (
        "import signal, sys\n"
        "from tfrecords_tools.command.interruption import interruptible\n"
        "try:\n"
        f"    with interruptible('pgan-x', ends_process={ends_process}):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ("Traceback" in ended.stderr) != ends_process
    assert ended.returncode == (130 if ends_process else -signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible("pgan-x", (signal.SIGHUP,)):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
