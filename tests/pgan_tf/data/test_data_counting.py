"""Every image comes once in an epoch: counted by images that encode their own numbers."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data.batches import read_batch, read_batches
from pgan_tf.data.order import Shard, records_at
from pgan_tf.data.worker_data import WorkerData
from tests.helpers.numbered import numbers_of, write_numbered

pytestmark = pytest.mark.slow

SEED = 3
COUNTS = (1, 7, 24, 61)
PAST_A_MILLION = (1 << 20) + 7


@pytest.fixture(scope="module")
def pyramids(tmp_path_factory):
    """16x16 pyramids of several sizes, the largest in three shards."""
    root = tmp_path_factory.mktemp("counting")
    return {
        count: write_numbered(root / f"n{count}", count=count, resolution=16, shards=shards)
        for count, shards in zip(COUNTS, (1, 1, 1, 3), strict=True)
    }


def read_by(workers, pyramid, schedule, images_seen, steps):
    """Return the numbers of a few steps' images, in order, and images_seen after them."""
    streams = [
        read_batches(
            WorkerData(pyramid, seed=SEED, shard=Shard(index, workers)), schedule.steps(images_seen)
        )
        for index in range(workers)
    ]
    read = []
    for shards in itertools.islice(zip(*streams, strict=True), steps):
        images_seen = shards[0][0].images_seen_after
        # Dealt to the workers in turn, and gathered so.
        read.extend(np.stack([numbers_of(batch.images) for _, batch in shards], axis=1).ravel())
    for stream in streams:
        stream.close()
    return read, images_seen


@settings(max_examples=60, deadline=None)
@given(
    count=st.sampled_from(COUNTS),
    batches=st.tuples(*[st.integers(1, 3)] * 3),
    # Each process's number of workers, its steps, and how many of them are lost by its end.
    runs=st.lists(
        st.tuples(st.sampled_from([1, 2, 3, 4]), st.integers(1, 12), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    ),
)
def test_every_image_is_read_once_an_epoch_whatever_workers_batches_and_restarts(
    pyramids, count, batches, runs
):
    pyramid = pyramids[count]
    unit = math.lcm(*(workers for workers, _, _ in runs))
    table = {4: batches[0] * unit, 8: batches[1] * unit, 16: batches[2] * unit}
    schedule = Schedule(
        ScheduleConfig(
            stabilize_kimg=max(count, 20) / 1000,
            fade_kimg=0.011,
            total_kimg=3.5 * max(count, 40) / 1000,
            batch_size_by_resolution=table,
        ),
        16,
    )
    shown, images_seen = [], 0
    for workers, steps, lost in runs:
        if images_seen < schedule.total_images:
            read, ends = read_by(workers, pyramid, schedule, images_seen, steps)
            assert len(read) == ends - images_seen
            shown += read
            # A process that is killed goes back to its last checkpoint, between two steps.
            passed = [images_seen, *(s.images_seen_after for s in schedule.steps(images_seen))]
            images_seen = passed[max(0, passed.index(ends) - lost)]
            del shown[images_seen:]
    shown += read_by(runs[0][0], pyramid, schedule, images_seen, None)[0]
    assert len(shown) >= schedule.total_images
    for start in range(0, len(shown), count):
        epoch = shown[start : start + count]
        times = np.bincount(epoch, minlength=count)
        assert len(times) == count
        # The last epoch may be cut short by the end of training: nothing comes twice.
        assert (times == 1).all() if len(epoch) == count else times.max() == 1


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_workers_read_shards_that_do_not_overlap(pyramids, workers):
    pyramid = pyramids[61]
    config = ScheduleConfig(total_kimg=0.061, batch_size=12)
    step = next(Schedule(config, 4).steps())
    shards = [
        numbers_of(read_batch(WorkerData(pyramid, seed=SEED, shard=shard), step).images)
        for shard in (Shard(index, workers) for index in range(workers))
    ]
    assert [len(shard) for shard in shards] == [12 // workers] * workers
    assert len(set(np.concatenate(shards))) == 12


def test_an_epoch_over_more_than_a_million_images_shows_each_once(tmp_path):
    pyramid = write_numbered(tmp_path / "million", count=PAST_A_MILLION, resolution=4)
    config = ScheduleConfig(total_kimg=PAST_A_MILLION / 1000, batch_size=1 << 14)
    read = [
        numbers_of(read_batch(WorkerData(pyramid, seed=SEED), step).images)
        for step in Schedule(config, 4).steps()
    ]
    epoch = np.concatenate(read)[:PAST_A_MILLION]
    assert len(epoch) == PAST_A_MILLION
    assert (np.bincount(epoch, minlength=PAST_A_MILLION) == 1).all()


def test_the_order_of_a_million_images_is_computed_quickly():
    positions = np.arange(PAST_A_MILLION)
    records_at(positions[:1], count=PAST_A_MILLION, seed=SEED)
    started = time.process_time()
    records = records_at(positions, count=PAST_A_MILLION, seed=SEED)
    # Measured: 0.1 to 0.2 s of processor time. Bound by far more, for busy machines.
    assert time.process_time() - started < 5
    assert (np.bincount(records) == 1).all()
