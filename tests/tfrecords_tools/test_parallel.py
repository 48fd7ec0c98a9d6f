"""Tasks on several processes."""

import operator
import os
import resource
import signal
import struct
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.parallel import run_ordered, run_unordered


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_task_is_done_once(workers):
    assert sorted(run_unordered(operator.neg, range(50), workers)) == list(range(-49, 1))


def test_no_tasks_are_no_results():
    assert list(run_unordered(operator.neg, [], 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_arrives_as_it_was(workers):
    with pytest.raises(TypeError, match="bad operand"):
        list(run_unordered(operator.neg, ["text"], workers))


def raise_bad_image(name):
    raise BadImageError(name, "is damaged")


@pytest.mark.parametrize("workers", [1, 2])
def test_more_memory_than_a_task_may_take_is_a_users_error(workers):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert list(run_unordered(make_zeros, [1 << 20], workers)) == [1 << 20]
    with pytest.raises(UserError, match="^out of memory, of which a process may take 8 GiB"):
        list(run_unordered(make_zeros, [9 << 30], workers))
    with pytest.raises(UserError, match="^out of memory, of which a process may take 1 GiB"):
        list(run_unordered(make_zeros, [2 << 30], workers, 1 << 30))
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def make_zeros(size):
    return len(np.zeros(size, np.uint8))


def test_a_bad_images_error_crosses_processes():
    with pytest.raises(BadImageError, match=r"^x\.png: is damaged$"):
        list(run_unordered(raise_bad_image, ["x.png"], 2))


def test_a_worker_that_dies_is_a_users_error():
    with pytest.raises(
        UserError, match=r"smaller --num_workers helps \(it was 2\), or by a damaged file"
    ):
        list(run_unordered(os._exit, [3], 2))


def send_half(then):
    """In a worker: send half a result, as a kill leaves it, and call `then`."""
    frame = sys._getframe()
    while "result_queue" not in frame.f_locals:
        frame = frame.f_back
    results = frame.f_locals["result_queue"]
    results._wlock.acquire()
    results._writer._send(struct.pack("!i", 1000) + b"half")
    then()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_long():
    time.sleep(600)


def call(task):
    function, argument = task
    return function(argument)


@pytest.mark.parametrize("run", [run_unordered, run_ordered])
def test_a_worker_that_dies_while_it_sends_is_a_users_error(run):
    tasks = [(time.sleep, 0), (send_half, die), *[(time.sleep, 0)] * 8]
    with pytest.raises(UserError, match="a worker process was killed"):
        list(run(call, tasks, 2))


def test_a_worker_that_is_stopped_while_it_sends_is_not_waited_for():
    tasks = [(time.sleep, 0), *[(send_half, sleep_long)] * 2]
    with closing(run_unordered(call, tasks, 2)) as results:
        next(results)
        time.sleep(0.5)


def test_tasks_are_taken_only_as_they_are_needed():
    taken = []

    def tasks():
        for number in range(1000):
            taken.append(number)
            yield number

    with closing(run_unordered(operator.neg, tasks(), 2)) as results:
        next(results)
    assert len(taken) < 20


def test_tasks_whose_results_nobody_wants_are_not_waited_for():
    started = time.monotonic()
    with closing(run_unordered(time.sleep, [0, 60, 60], 2)) as results:
        next(results)
    assert time.monotonic() - started < 30
    with pytest.raises(TypeError):
        list(run_unordered(time.sleep, [60, "text"], 2))
    assert time.monotonic() - started < 30
