import re

import pytest

from pgan_tf.config import DataConfig, NetworkConfig, ScheduleConfig, TrainConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.training.preflight import (
    check_batches,
    fit_to_data,
    fitting_microbatches,
    smaller_batch,
    warn_of_short_phases,
)
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

GROUPS_OF_4 = NetworkConfig(stddev_group_size=4)
WITHOUT_GROUPS = [
    NetworkConfig(stddev_group_size=0),
    NetworkConfig(minibatch_features="discrimination"),
    NetworkConfig(minibatch_features="none"),
]


def schedule(**config):
    return Schedule(ScheduleConfig(**config), 8)


@pytest.mark.parametrize(
    ("batch_size", "replicas"), [(16, 1), (16, 4), (3, 1), (6, 2), (2, 2), (8, 2), (12, 3)]
)
def test_batches_that_split_evenly_are_accepted(batch_size, replicas):
    check_batches(schedule(batch_size=batch_size), GROUPS_OF_4, replicas)


@pytest.mark.parametrize(
    ("batch_size", "replicas", "message"),
    [
        (10, 1, "--batch_size at 8x8 must be a multiple of 4, for 1 replicas and stddev groups of "
         "4; the nearest: 8 and 12. Received: 10"),
        (12, 2, "must be a multiple of 8, for 2 replicas"),
        (1, 2, "the nearest: 2. Received: 1"),
        (5, 2, "the nearest: 4 and 6. Received: 5"),
    ],
)  # fmt: skip
def test_batches_that_do_not_are_refused_with_the_nearest(batch_size, replicas, message):
    with pytest.raises(UserError, match=re.escape(message)):
        check_batches(
            schedule(batch_size=16, batch_size_by_resolution={8: batch_size}), GROUPS_OF_4, replicas
        )


@pytest.mark.parametrize(
    ("batch_size", "replicas", "warned"), [(4, 2, True), (2, 2, True), (8, 2, False), (3, 1, False)]
)
def test_groups_smaller_than_one_devices_are_warned_of(caplog, batch_size, replicas, warned):
    check_batches(schedule(batch_size=batch_size), GROUPS_OF_4, replicas)
    said = f"--batch_size {batch_size} at 4x4, {batch_size} at 8x8 leaves each of {replicas}"
    assert (said in caplog.text) == warned


def test_batch_norm_of_a_single_image_is_refused():
    network = NetworkConfig(discriminator_norm="batch")
    with pytest.raises(UserError, match="--batch_size at 4x4 must be at least 2 with"):
        check_batches(schedule(batch_size=1), network, 1)


@pytest.mark.parametrize(("steps", "warned"), [(1, False), (4, False), (5, True)])
def test_phases_without_a_step_of_the_generator_are_warned_of(caplog, steps, warned):
    config = {"batch_size": 64, "fade_kimg": 0.2, "stabilize_kimg": 0.64, "total_kimg": 2.0}
    warn_of_short_phases(schedule(**config), steps)
    said = f"8x8 fade: fewer steps than --discriminator_steps={steps}"
    assert (said in caplog.text) == warned


def test_stages_that_are_never_trained_do_not_matter():
    config = {"stabilize_kimg": 0, "fade_kimg": 0, "batch_size_by_resolution": {4: 10}}
    check_batches(schedule(**config), GROUPS_OF_4, 1)


@pytest.mark.parametrize(
    ("batch_size", "replicas", "smaller"),
    [(16, 1, 8), (24, 1, 12), (12, 1, 4), (8, 1, 4), (4, 1, 2), (3, 1, 1), (1, 1, None),
     (64, 4, 32), (8, 4, 4), (4, 4, None)],
)  # fmt: skip
def test_a_smaller_batch_is_half_or_the_next_that_splits_evenly(batch_size, replicas, smaller):
    assert smaller_batch(batch_size, GROUPS_OF_4, replicas) == smaller
    if smaller:
        check_batches(schedule(batch_size=smaller), GROUPS_OF_4, replicas)


@pytest.mark.parametrize("network", WITHOUT_GROUPS)
def test_without_groups_a_batch_need_only_split_over_replicas(network):
    check_batches(schedule(batch_size=10), network, 1)
    check_batches(schedule(batch_size=10), network, 2)
    message = "must be a multiple of 2, for 2 replicas; the nearest: 6 and 8. Received: 7"
    with pytest.raises(UserError, match=re.escape(message)):
        check_batches(schedule(batch_size=7), network, 2)
    assert [smaller_batch(b, network, r) for b, r in [(14, 1), (14, 2), (1, 1)]] == [7, 6, None]


@pytest.mark.parametrize(
    ("network", "flag"),
    [*zip(WITHOUT_GROUPS, ["--stddev_group_size=0", "--minibatch_features=discrimination", None],
          strict=True)],
)  # fmt: skip
@pytest.mark.parametrize("replicas", [1, 2])
def test_minibatches_compared_by_replica_are_warned_of(caplog, network, flag, replicas):
    check_batches(schedule(batch_size=16), network, replicas)
    warned = [record.getMessage() for record in caplog.records]
    if flag and replicas == 2:
        assert len(warned) == 1
        assert f"{flag} on 2 replicas: each image is compared with" in warned[0]
    else:
        assert not warned


@pytest.mark.parametrize(
    ("network", "batch_size", "times_more", "count"),
    [
        ({}, 16, 2, 2),
        ({}, 16, 3, 4),  # of its four groups of four, three can't be split evenly
        ({}, 4, 2, None),  # a single group
        ({"stddev_group_size": 2}, 4, 2, 2),
        ({"minibatch_features": "none"}, 3, 2, 3),
        ({"stddev_group_size": 0}, 16, 2, None),
        ({"generator_norm": "batch"}, 16, 2, None),
    ],
)
def test_the_number_of_microbatches_that_a_batch_splits_into(
    network, batch_size, times_more, count
):
    config = TrainConfig(network=NetworkConfig(**network))
    assert fitting_microbatches(config, batch_size, times_more=times_more) == count


@pytest.mark.parametrize("held_out", [13, 25])
def test_holding_out_more_than_half_of_the_data_is_refused(pyramid_dir, held_out):
    pyramid = open_pyramid(pyramid_dir)  # of 24 images
    config = TrainConfig(data=DataConfig(validation_images=held_out))
    message = f"must be at most 12, half of its 24 images. Received: {held_out}"
    with pytest.raises(UserError, match=message):
        fit_to_data(config, pyramid)
    half = TrainConfig(data=DataConfig(validation_images=12))
    assert fit_to_data(half, pyramid).data.validation_images == 12
