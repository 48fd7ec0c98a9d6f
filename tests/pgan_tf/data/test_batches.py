import collections
import dataclasses
import time
from typing import NamedTuple

import numpy as np
import pytest

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data.batches import read_batch, read_batches
from pgan_tf.data.memory.read_ahead import READ_AHEAD_BYTES
from pgan_tf.data.order import Shard, records_at
from pgan_tf.data.worker_data import WorkerData
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

CONFIG = ScheduleConfig(
    stabilize_kimg=0.04,
    fade_kimg=0.02,
    total_kimg=0.12,
    batch_size=10,
    batch_size_by_resolution={4: 8},
)


def test_no_image_is_missed_across_a_change_of_batch_and_resolution(pyramid_dir):
    pyramid = open_pyramid(pyramid_dir)
    full = pyramid.level(8).read(np.arange(24))
    small = pyramid.level(4).read(np.arange(24))
    seen = collections.Counter()
    for step, batch in read_batches(WorkerData(pyramid, seed=3), Schedule(CONFIG, 8).steps()):
        level = full if step.phase.resolution == 8 else small
        for image in batch.images:
            (record,) = np.flatnonzero((level == image).all(axis=(1, 2, 3)))
            seen[record] += 1
    assert seen == dict.fromkeys(range(24), 5)  # 120 images of 24


def test_reading_from_the_middle_gives_the_same_batches(labelled_dir):
    pyramid = open_pyramid(labelled_dir)
    schedule = Schedule(CONFIG, 8)
    whole = list(read_batches(WorkerData(pyramid, seed=3, label_size=3), schedule.steps()))
    rest = list(read_batches(WorkerData(pyramid, seed=3, label_size=3), schedule.steps(40)))
    assert len(rest) == 8
    for (step, batch), (same_step, same_batch) in zip(whole[5:], rest, strict=True):
        assert step == same_step
        for array, same in zip(batch, same_batch, strict=True):
            np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("workers", [2, 4])
def test_the_shards_of_all_workers_dealt_in_turn_are_the_whole_batch(labelled_dir, workers):
    pyramid = open_pyramid(labelled_dir)
    step = list(Schedule(CONFIG, 8).steps())[1]
    data = WorkerData(pyramid, seed=3, label_size=3)
    each = [dataclasses.replace(data, shard=Shard(i, workers)) for i in range(workers)]
    shards, of_one = [read_batch(share, step) for share in each], read_batch(data, step)
    for name in ("images", "labels", "fake_labels"):
        arrays, whole = [getattr(shard, name) for shard in shards], getattr(of_one, name)
        assert [len(array) for array in arrays] == [8 // workers] * workers
        dealt = np.stack(arrays, axis=1)  # [b / n, n ...]: sample j went to worker j mod n
        np.testing.assert_array_equal(dealt.reshape(whole.shape), whole)


@pytest.mark.parametrize("shard", [Shard(0, 3), Shard(2, 2), Shard(-1, 2)])
def test_a_shard_that_does_not_exist_is_refused(pyramid_dir, shard):
    step = next(Schedule(CONFIG, 8).steps())
    with pytest.raises(ValueError, match="batch of 8 has no"):
        read_batch(WorkerData(open_pyramid(pyramid_dir), seed=3, shard=shard), step)


def test_labels_follow_their_images(labelled_dir):
    pyramid = open_pyramid(labelled_dir)
    step = next(Schedule(CONFIG, 8).steps())
    batch = read_batch(WorkerData(pyramid, seed=3, label_size=3), step)
    records = records_at(np.arange(8), count=24, seed=3)
    np.testing.assert_array_equal(batch.labels.argmax(axis=1), records % 3)
    assert batch.fake_labels.shape == (8, 3)
    np.testing.assert_array_equal(batch.fake_labels.sum(axis=1), np.ones(8))


def test_labels_of_fakes_are_drawn_from_the_data():
    pyramid = FewLabels()
    steps = Schedule(dataclasses.replace(CONFIG, total_kimg=8.0), 4).steps()
    drawn = np.concatenate(
        [read_batch(WorkerData(pyramid, seed=3, label_size=2), step).fake_labels for step in steps]
    )
    assert drawn[:, 1].mean() == pytest.approx(0.25, abs=0.03)


class FewLabels:
    """A pyramid in which one image of four has label 1."""

    count = 100
    channels = 1
    shape = (1, 4, 4)
    image_bytes = 16
    labels = np.eye(2, dtype=np.float32)[(np.arange(100) % 4 == 0).astype(int)]

    def level(self, resolution):
        return self

    def labels_of(self, records):
        return self.labels[records]

    def read(self, records, out=None):
        return np.zeros([len(records), 1, 4, 4], np.uint8)


def test_a_pyramid_without_labels_gives_empty_ones(pyramid_dir):
    step = next(Schedule(CONFIG, 8).steps())
    batch = read_batch(WorkerData(open_pyramid(pyramid_dir), seed=3), step)
    assert batch.labels.shape == batch.fake_labels.shape == (8, 0)


def test_a_damaged_record_ends_training_with_the_files_name(pyramid_dir):
    path = pyramid_dir / "tiny-r03.tfrecords"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    pyramid = open_pyramid(pyramid_dir)
    with pytest.raises(UserError, match=r"tiny-r03\.tfrecords"):
        list(read_batches(WorkerData(pyramid, seed=3), Schedule(CONFIG, 8).steps()))


class ColdPyramid:
    """A pyramid on a disk that is slow at the first reads of every level.

    Attributes:
      read_at: the time at which each level's first batch had been read.
    """

    count = 1000
    channels = 1
    labels = None

    def __init__(self, seconds):
        self._seconds = seconds
        self.read_at = {}

    def level(self, resolution):
        return ColdLevel(self, resolution, 0 if resolution in self.read_at else self._seconds)


class ColdLevel(NamedTuple):
    pyramid: ColdPyramid
    resolution: int
    seconds: float

    @property
    def shape(self):
        return 1, self.resolution, self.resolution

    @property
    def dtype(self):
        return np.dtype(np.uint8)

    @property
    def image_bytes(self):
        return self.resolution**2

    def read(self, records, out=None):
        time.sleep(self.seconds)
        self.pyramid.read_at.setdefault(self.resolution, time.monotonic())
        return np.zeros([len(records), 1, self.resolution, self.resolution], np.uint8)


def test_no_step_waits_for_the_first_reads_of_the_next_level():
    pyramid = ColdPyramid(seconds=1.5)
    config = dataclasses.replace(CONFIG, stabilize_kimg=0.8, fade_kimg=0.0, total_kimg=1.6)
    batches = read_batches(WorkerData(pyramid, seed=3), Schedule(config, 8).steps())
    next(batches)
    asked = time.monotonic()
    for step, _ in batches:
        waited = time.monotonic() - asked
        assert waited < 0.75, step
        if step.phase.index == 1:
            return
        time.sleep(0.03)  # a short step: 64 of them hide nearly two seconds
        asked = time.monotonic()
    pytest.fail("the next level never came")


def test_the_next_level_is_read_ahead():
    pyramid = ColdPyramid(seconds=0.0)
    for step, _ in read_batches(WorkerData(pyramid, seed=3), Schedule(CONFIG, 8).steps()):
        if step.images_seen == 0:
            wait_until(lambda: 8 in pyramid.read_at)
            return


def test_large_images_are_read_ahead_by_bytes():
    pyramid = ColdPyramid(seconds=0.0)
    asked = []
    config = ScheduleConfig(start_resolution=512, total_kimg=10.0, batch_size=100)

    def steps():
        for step in Schedule(config, 512).steps():
            asked.append(step)
            yield step

    batches = read_batches(WorkerData(pyramid, seed=3), steps())
    next(batches)
    # 100 images of 2^18 bytes; one step more than are read is known, to see that it is too much.
    assert len(asked) == READ_AHEAD_BYTES // (100 << 18) + 1
    batches.close()


def test_stopping_early_waits_only_for_batches_that_are_being_read():
    pyramid = ColdPyramid(seconds=0.0)
    config = dataclasses.replace(CONFIG, total_kimg=1.0, stabilize_kimg=1.0)
    batches = read_batches(WorkerData(pyramid, seed=3), Schedule(config, 8).steps())
    next(batches)
    pyramid.level = lambda resolution: ColdLevel(pyramid, resolution, 0.2)
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < 2  # 64 batches would take 12 seconds


def wait_until(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
