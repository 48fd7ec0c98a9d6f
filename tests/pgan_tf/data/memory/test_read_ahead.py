"""Reading ahead: the order of results, errors, shared memory."""

import threading
import time

import numpy as np
import pytest

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data.batches import Batch
from pgan_tf.data.memory.buffers import Buffers
from pgan_tf.data.memory.read_ahead import read_ahead, take_ahead
from tfrecords_tools.errors import UserError


def slow_reader(slow, *, damaged=None):
    """Return a reader that takes no time, or 0.2 s, or finds a damaged record."""

    def read(step):
        number = step.images_seen // 10
        if number == damaged:
            raise UserError(f"record {number} is damaged")
        time.sleep(0.2 if number in slow else 0.0)
        images = np.full([10, 1, 4, 4], number, np.uint8)
        return Batch(images, np.zeros([10, 0]), np.zeros([10, 0]))

    return read


def steps_of_ten(count):
    schedule = ScheduleConfig(total_kimg=count / 100, batch_size=10, batch_size_by_resolution={})
    return Schedule(schedule, 4).steps()


def size_of_ten(step):
    return 10 * step.phase.resolution**2


def test_results_that_are_read_at_once_come_in_order():
    read, started = slow_reader({0, 1, 2, 9, 13}), time.monotonic()
    batches = read_ahead(steps_of_ten(20), read, size=size_of_ten, threads=4)
    found = [(step.images_seen // 10, int(batch.images[0, 0, 0, 0])) for step, batch in batches]
    assert found == [(number, number) for number in range(20)]
    assert time.monotonic() - started < 0.9  # one after the other would take 1.0 s


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_is_raised_at_its_own_step(threads):
    read = slow_reader({2, 3}, damaged=5)
    batches = read_ahead(steps_of_ten(20), read, size=size_of_ten, threads=threads)
    assert [next(batches)[0].images_seen for _ in range(5)] == [0, 10, 20, 30, 40]
    with pytest.raises(UserError, match="record 5 is damaged"):
        next(batches)


def test_images_of_two_levels_that_are_read_at_once_stay_apart():
    buffers = Buffers()
    sides = {0: 128, 1: 256}

    def read(step):
        number = step.images_seen // 10
        side = sides[number % 2]
        images = buffers.empty((10, 1, side, side))
        images[...] = number
        return Batch(images, np.zeros([10, 0]), np.zeros([10, 0]))

    batches = read_ahead(steps_of_ten(200), read, size=size_of_ten, threads=4)
    for step, batch in batches:
        number = step.images_seen // 10
        assert batch.images.shape[-1] == sides[number % 2]
        assert (batch.images == number).all()


def test_items_are_taken_ahead_in_order_and_by_one_other_thread():
    taken, threads = [], set()

    def items():
        for item in range(6):
            taken.append(item)
            threads.add(threading.get_ident())
            yield item

    ahead = take_ahead(items(), count=2)
    assert next(ahead) == 0
    deadline = time.monotonic() + 10
    while taken != [0, 1, 2]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)
    assert taken == [0, 1, 2]
    assert list(ahead) == [1, 2, 3, 4, 5]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_ahead_is_raised_at_its_item():
    def items():
        yield from range(2)
        raise UserError("damaged")

    ahead = take_ahead(items(), count=4)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(UserError, match="damaged"):
        next(ahead)


def test_stopping_early_leaves_the_rest():
    remaining = iter(range(1000))
    ahead = take_ahead(remaining, count=2)
    next(ahead)
    ahead.close()
    assert next(remaining) <= 4
