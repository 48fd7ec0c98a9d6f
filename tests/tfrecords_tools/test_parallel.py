"""Tasks on several processes."""

import operator
import os
import time
from contextlib import closing

import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.parallel import run_unordered
from tfrecords_tools.sources.base import BadImageError


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


def test_a_bad_images_error_crosses_processes():
    with pytest.raises(BadImageError, match=r"^x\.png: is damaged$"):
        list(run_unordered(raise_bad_image, ["x.png"], 2))


def test_a_worker_that_dies_is_a_users_error():
    with pytest.raises(
        UserError, match=r"smaller --num_workers helps \(it was 2\), or by a damaged file"
    ):
        list(run_unordered(os._exit, [3], 2))


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
