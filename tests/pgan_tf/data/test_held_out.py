"""The rule of held-out images, and that no way of reading shows them to training."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data.dataset import read_batches
from pgan_tf.data.held_out import (
    ValidationImages,
    held_out_indices,
    read_held_out,
    trained_on,
)
from pgan_tf.data.order import Shard
from pgan_tf.data.remote import open_remote_pyramid
from pgan_tf.data.worker_data import WorkerData
from tests.helpers.numbered import NumberedSource, numbers_of, upload
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

COUNT, HELD_OUT = 61, 13
CONFIG = ScheduleConfig(stabilize_kimg=0.096, fade_kimg=0.048, total_kimg=0.432, batch_size=12)


def test_the_rule_stays_as_it_is():
    found = [held_out_indices(10, held_out).tolist() for held_out in range(4)]
    assert found == [[], [2], [2, 4], [2, 4, 9]]


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_more_held_out_images_include_the_fewer(numbers):
    num_images, held_out = numbers
    indices = held_out_indices(num_images, held_out)
    assert len(set(indices.tolist())) == held_out
    assert (np.diff(indices) > 0).all()
    assert set(held_out_indices(num_images, held_out // 2)) <= set(indices)
    assert set(indices) <= set(held_out_indices(num_images, num_images)) == set(range(num_images))


def test_they_are_from_all_over_the_data():
    per_tenth = np.histogram(held_out_indices(10_000, 1000), bins=10, range=(0, 10_000))[0]
    assert per_tenth.min() > 60


@pytest.mark.parametrize("held_out", [-1, 11])
def test_numbers_beyond_the_data_are_refused(held_out):
    with pytest.raises(ValueError, match="from 0 to 10. Received"):
        held_out_indices(10, held_out)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_the_images_trained_on_are_all_others(numbers):
    num_images, held_out = numbers
    rest = trained_on(
        np.arange(num_images - held_out), num_images=num_images, validation_images=held_out
    )
    expected = sorted(set(range(num_images)) - set(held_out_indices(num_images, held_out).tolist()))
    assert rest.tolist() == expected


@pytest.fixture(params=["raw", "png"])
def directory(request, tmp_path):
    """61 numbered 8x8 images with label i % 3."""
    options = WriteOptions(encoding=request.param, shards=2, shuffle=False)
    write_pyramid(NumberedSource(COUNT, 8), tmp_path / "numbered", options, {}, lambda line: None)
    return tmp_path / "numbered"


@pytest.fixture(params=["disk", pytest.param("remote", marks=pytest.mark.slow)])
def pyramid(request, directory):
    if request.param == "disk":
        return open_pyramid(directory)
    return open_remote_pyramid(upload(directory, f"ram://{directory.parent.name}/numbered"))


def batches(pyramid, shard, validation_images, **scored):
    held_out = {"validation_images": validation_images, **scored}
    data = WorkerData(pyramid, seed=3, label_size=3, shard=shard, **held_out)
    return read_batches(data, Schedule(CONFIG, 8).steps())


@pytest.mark.parametrize("workers", [1, 2])
def test_no_step_of_any_worker_shows_a_held_out_image(pyramid, workers):
    held_out = set(held_out_indices(COUNT, HELD_OUT).tolist())
    shown = {4: set(), 8: set()}
    for index in range(workers):
        for step, batch in batches(pyramid, Shard(index, workers), HELD_OUT):
            numbers = numbers_of(batch.images)
            shown[step.phase.resolution].update(numbers.tolist())
            np.testing.assert_array_equal(batch.labels.argmax(axis=1), numbers % 3)
    # Two passes and more over each worker's share.
    assert shown == dict.fromkeys((4, 8), set(range(COUNT)) - held_out)


def test_every_pass_shows_each_of_the_others_once(directory):
    pyramid = open_pyramid(directory)
    read = [numbers_of(b.images) for _, b in batches(pyramid, Shard(), HELD_OUT)]
    passes = np.concatenate(read).reshape(-1, COUNT - HELD_OUT)
    for shown in passes:
        assert len(set(shown.tolist())) == COUNT - HELD_OUT


def test_fakes_have_no_labels_that_only_held_out_images_have(directory):
    is_held_out = np.isin(np.arange(COUNT), held_out_indices(COUNT, HELD_OUT))
    labels = np.eye(2, dtype=np.float32)[is_held_out.astype(int)]
    pyramid = dataclasses.replace(open_pyramid(directory), labels=labels, labels_source=None)
    for _, batch in batches(pyramid, Shard(), HELD_OUT):
        np.testing.assert_array_equal(batch.fake_labels, np.tile([1, 0], [12, 1]))


def test_nothing_held_out_changes_nothing(directory):
    pyramid = open_pyramid(directory)
    steps = Schedule(CONFIG, 8).steps()
    plain = read_batches(WorkerData(pyramid, seed=3, label_size=3), steps)
    for (_, batch), (_, same) in itertools.zip_longest(plain, batches(pyramid, Shard(), 0)):
        for array, other in zip(batch, same, strict=True):
            np.testing.assert_array_equal(array, other)


def test_held_out_images_are_read_with_their_labels(pyramid):
    for resolution in (4, 8):
        images, labels = read_held_out(pyramid, HELD_OUT, resolution)
        assert images.shape == (HELD_OUT, 3, resolution, resolution)
        assert images.dtype == np.uint8
        numbers = numbers_of(images)
        np.testing.assert_array_equal(numbers, held_out_indices(COUNT, HELD_OUT))
        np.testing.assert_array_equal(labels, np.eye(3)[numbers % 3])


@pytest.mark.slow
def test_a_worker_whose_share_is_held_out_is_refused(tmp_path):
    write_pyramid(
        NumberedSource(4, 8), tmp_path / "few", WriteOptions(shuffle=False), {}, lambda line: None
    )
    pyramid = open_remote_pyramid(upload(tmp_path / "few", f"ram://{tmp_path.name}/few"))
    with pytest.raises(UserError, match="validation_images must leave every worker images"):
        for index in range(4):
            next(batches(pyramid, Shard(index, 4), 2))


def scored_numbers(pyramid, *, seed=3, images_seen=0, size=4):
    scored = ValidationImages(pyramid, HELD_OUT, seed=seed, size_of=lambda batch_size: size)
    steps = Schedule(CONFIG, 8).steps(images_seen)
    return [numbers_of(scored.read(step)).tolist() for step in steps]


def test_the_images_that_steps_score_are_held_out_and_come_in_turn(pyramid):
    found = scored_numbers(pyramid)
    assert [len(numbers) for numbers in found] == [4] * 36
    counts = np.bincount(np.concatenate(found), minlength=COUNT)
    held_out = held_out_indices(COUNT, HELD_OUT)
    assert counts[held_out].sum() == counts.sum() == 144
    assert counts[held_out].max() - counts[held_out].min() <= 2
    assert scored_numbers(pyramid, images_seen=240) == found[20:]
    assert scored_numbers(pyramid, seed=4) != found


@pytest.mark.slow
def test_steps_and_workers_read_the_same_images_to_score_in_every_way(directory):
    remote = open_remote_pyramid(upload(directory, f"ram://{directory.parent.name}/scored"))
    expected = scored_numbers(open_pyramid(directory))
    for pyramid, index in ((open_pyramid(directory), 0), (remote, 0), (remote, 1)):
        scored = ValidationImages(pyramid, HELD_OUT, seed=3, size_of=lambda batch_size: 4)
        read = batches(pyramid, Shard(index, 2), HELD_OUT, scored=scored)
        found = [numbers_of(batch.validation_images).tolist() for _, batch in read]
        assert found == expected
