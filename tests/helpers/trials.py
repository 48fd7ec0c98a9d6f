"""Trials with made-up results, and the cells of the tables made of them.

For tests of dry runs. They start fast: without TensorFlow.
"""

import os
import signal

from pgan_tf.planning.trial_process import OutOfMemory, PhaseMeasured, Started
from tfrecords_tools.errors import UserError

GIB = 2**30


def measured(phase):
    return PhaseMeasured(
        1.0, step_seconds=phase.batch_size / 100, peak=phase.batch_size * GIB, resident=5
    )


def everything_fits(config, phases, send):
    send(Started(2, "GPU:0, GPU:1"))
    for phase in phases:
        send(measured(phase))


def say_where(config, phases, send):
    send(Started(1, os.getcwd()))


def sixteen_fit_at_8x8(config, phases, send):
    send(Started(2, "GPU:0, GPU:1"))
    for phase in phases:
        if phase.resolution == 8 and phase.batch_size > 16:
            send(OutOfMemory())
            return
        send(measured(phase))


def four_fit_at_32x32(config, phases, send):
    send(Started(1, "GPU:0"))
    for phase in phases:
        if phase.resolution == 32 and phase.batch_size > 4:
            send(OutOfMemory())
            return
        send(measured(phase))


def only_the_fade_needs_less(config, phases, send):
    send(Started(1, "GPU:0"))
    for phase in phases:
        if phase.batch_size > (8 if phase.fading else 32) and phase.resolution == 8:
            send(OutOfMemory())
            return
        send(measured(phase))


def is_killed_at_8x8(config, phases, send):
    send(Started(1, "CPU:0"))
    for phase in phases:
        if phase.resolution == 8 and phase.batch_size > 8:
            os.kill(os.getpid(), signal.SIGKILL)
        send(measured(phase))


def crashes_at_8x8(config, phases, send):
    send(Started(1, "CPU:0"))
    for phase in phases:
        if phase.resolution == 8 and phase.batch_size > 8:
            os.kill(os.getpid(), signal.SIGABRT)
        send(measured(phase))


def nothing_fits_at_8x8(config, phases, send):
    send(Started(1, "GPU:0"))
    for phase in phases:
        if phase.resolution == 8:
            send(OutOfMemory())
            return
        send(measured(phase))


def is_a_mistake(config, phases, send):
    raise UserError("--logical_cpus is wrong")


def is_a_fault(config, phases, send):
    send(Started(1, "GPU:0"))
    raise ZeroDivisionError


def rows_of(text):
    """Return the cells of a table's lines, without its header."""
    lines = [line.split() for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line[:1] == ["resolution"])
    end = next(i for i, line in enumerate(lines) if line[:1] == ["total"])
    return lines[start + 1 : end + 1]
