"""Streams from TensorFlow's own file system in memory, `ram://`, and from `file://`."""

import itertools
import time

import numpy as np
import pytest

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data import streaming
from pgan_tf.data.order import WHOLE, Shard
from pgan_tf.data.remote import open_remote_pyramid
from pgan_tf.data.streaming import stream_batches
from pgan_tf.data.worker_data import WorkerData
from tests.helpers.numbered import NumberedSource, numbers_of, upload, write_numbered
from tfrecords_tools.errors import UserError
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

pytestmark = pytest.mark.slow

COUNT = 61
CONFIG = ScheduleConfig(
    stabilize_kimg=0.122,
    fade_kimg=0.061,
    total_kimg=0.4,
    batch_size=12,
    batch_size_by_resolution={4: 4},
)


@pytest.fixture(params=["raw-1", "raw-3", "png-2"])
def remote(request, tmp_path):
    """A pyramid of 61 numbered 8x8 images, label i % 3, in one of the ways it can be stored."""
    encoding, shards = request.param.split("-")
    options = WriteOptions(encoding=encoding, shards=int(shards))
    write_pyramid(NumberedSource(COUNT, 8), tmp_path / "numbered", options, {}, lambda line: None)
    return open_remote_pyramid(upload(tmp_path / "numbered", f"ram://{tmp_path.name}/numbered"))


def shown(pyramid, *, seed=3, shard=WHOLE, images_seen=0, steps=None, config=CONFIG):
    """Return the batches of a run, with labels."""
    data = WorkerData(pyramid, seed=seed, label_size=3, shard=shard)
    stream = stream_batches(data, Schedule(config, 8).steps(images_seen))
    return list(itertools.islice(stream, steps))


def numbers(batches, resolution=8):
    read = [numbers_of(b.images) for step, b in batches if step.phase.resolution == resolution]
    return np.concatenate(read)


def test_every_pass_over_a_level_shows_every_image_once(remote):
    batches = shown(remote)
    for resolution in (4, 8):
        read = numbers(batches, resolution)
        assert len(read) >= 2 * COUNT
        for start in range(0, len(read) - COUNT + 1, COUNT):
            assert sorted(read[start : start + COUNT]) == list(range(COUNT))


def test_each_pass_level_and_seed_has_another_order(remote):
    read = numbers(shown(remote))
    assert (read[:COUNT] != read[COUNT : 2 * COUNT]).any()
    assert (read[:COUNT] != np.arange(COUNT)).sum() > COUNT // 2
    assert (read[:COUNT] != numbers(shown(remote), 4)[:COUNT]).any()
    assert (read[:COUNT] != numbers(shown(remote, seed=4))[:COUNT]).any()


def test_the_same_seed_and_start_give_the_same_stream(remote):
    first, second = shown(remote, steps=40), shown(remote, steps=40)
    for (step, batch), (same_step, same_batch) in zip(first, second, strict=True):
        assert step == same_step
        for array, same in zip(batch, same_batch, strict=True):
            np.testing.assert_array_equal(array, same)


def test_labels_follow_their_images(remote):
    for _, batch in shown(remote):
        np.testing.assert_array_equal(batch.labels.argmax(axis=1), numbers_of(batch.images) % 3)
        np.testing.assert_array_equal(batch.fake_labels.sum(axis=1), np.ones(len(batch.images)))


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_shards_of_workers_do_not_overlap_and_cover_the_data(remote, workers):
    config = ScheduleConfig(start_resolution=8, total_kimg=0.24, batch_size=24)
    shards = []
    for index in range(workers):
        batches = shown(remote, shard=Shard(index, workers), config=config)
        assert {len(batch.images) for _, batch in batches} == {24 // workers}
        shards.append(set(numbers(batches).tolist()))
    assert sum(map(len, shards)) == COUNT
    assert set.union(*shards) == set(range(COUNT))
    assert max(map(len, shards)) - min(map(len, shards)) <= 16


def test_labels_of_fakes_do_not_depend_on_the_number_of_workers(remote):
    whole = shown(remote, steps=3)
    shards = [shown(remote, steps=3, shard=Shard(index, 2)) for index in range(2)]
    for (_, batch), *of_workers in zip(whole, *shards, strict=True):
        drawn = np.stack([shard.fake_labels for _, shard in of_workers], axis=1)
        np.testing.assert_array_equal(batch.fake_labels, drawn.reshape(batch.fake_labels.shape))


def test_the_shuffle_buffer_is_bounded_in_bytes(tmp_path, monkeypatch):
    write_numbered(tmp_path / "n", count=COUNT, resolution=16)
    pyramid = open_remote_pyramid(f"file://{tmp_path}/n")
    assert streaming.shuffle_size(pyramid.level(4)) == COUNT
    assert streaming.shuffle_size(pyramid.level(4), Shard(0, 2)) == 31
    record_bytes = pyramid.level(16).files[0].offsets.record_bytes
    monkeypatch.setattr(streaming, "SHUFFLE_BYTES", 7 * (record_bytes + 128))
    assert streaming.shuffle_size(pyramid.level(16)) == 7
    monkeypatch.setattr(streaming, "SHUFFLE_BYTES", 1)
    assert streaming.shuffle_size(pyramid.level(16)) == 1


def test_the_next_levels_stream_fills_before_the_switch(tmp_path, monkeypatch):
    write_numbered(tmp_path / "n", count=COUNT, resolution=8)
    pyramid = open_remote_pyramid(f"file://{tmp_path}/n")
    made = streaming._dataset
    begun = {}

    def slowly(level, *arguments):
        time.sleep(1.5)
        begun[level.resolution] = time.monotonic()
        return made(level, *arguments)

    monkeypatch.setattr(streaming, "_dataset", slowly)
    config = ScheduleConfig(stabilize_kimg=1.6, fade_kimg=0, total_kimg=2.0, batch_size=16)
    batches = stream_batches(WorkerData(pyramid, seed=3), Schedule(config, 8).steps())
    next(batches)
    asked = time.monotonic()
    for step, _ in batches:
        waited = time.monotonic() - asked
        assert waited < 0.75, step
        if step.phase.index == 1:
            assert begun[8] < asked
            return
        time.sleep(0.03)
        asked = time.monotonic()
    pytest.fail("the next level never came")


def test_only_one_level_is_opened_ahead(tmp_path):
    write_numbered(tmp_path / "n", count=COUNT, resolution=32)
    pyramid = open_remote_pyramid(f"file://{tmp_path}/n")
    streams = streaming._Streams(WorkerData(pyramid, seed=3))
    steps = Schedule(CONFIG, 32).steps()
    opened = [(step, sorted(streams._streams)) for step in streams.opened_ahead(steps)]
    assert opened[0][1] == opened[-1][1] == [4, 8]
    for step, _ in opened:
        streams.read(step)
        assert min(streams._streams) == step.phase.resolution
        assert len(streams._streams) <= 2
    streams.close()


def test_a_damaged_record_ends_the_stream_with_file_and_number(tmp_path):
    write_numbered(tmp_path / "n", count=COUNT, resolution=8)
    path = tmp_path / "n" / "n-r03.tfrecords"
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // COUNT - 9] ^= 1  # near the end of record 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"n-r03\.tfrecords: record 1 \(of 0\.\.60\) is damaged"):
        shown(open_remote_pyramid(f"file://{tmp_path}/n"))


@pytest.mark.parametrize("change", ["truncate", "delete"])
def test_a_file_that_changes_while_it_is_streamed_is_named(tmp_path, change):
    write_numbered(tmp_path / "n", count=COUNT, resolution=8)
    pyramid = open_remote_pyramid(f"file://{tmp_path}/n")
    path = tmp_path / "n" / "n-r03.tfrecords"
    if change == "truncate":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"n-r03\.tfrecords") as error:
        shown(pyramid)
    assert "\n" not in str(error.value)


def test_fewer_images_than_workers_are_refused(tmp_path):
    write_numbered(tmp_path / "n", count=2, resolution=8)
    pyramid = open_remote_pyramid(f"file://{tmp_path}/n")
    with pytest.raises(UserError, match="fewer images than workers: 2"):
        shown(pyramid, shard=Shard(0, 4))
