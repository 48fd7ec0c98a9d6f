"""ADA's signal: which a run follows, what for, and how many held-out images a step scores."""

import pytest

from pgan_tf.config import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    NetworkConfig,
    TrainConfig,
    flags,
)


def ada(loss="wgan_gp", *, network=None, **augment):
    return TrainConfig(
        data=DataConfig(validation_images=200),
        network=network or NetworkConfig(),
        loss=LossConfig(loss=loss),
        augment=AugmentConfig(augment="ada", **augment),
    )


@pytest.mark.parametrize(
    ("loss", "given", "signal"),
    [
        ("wgan_gp", "auto", "r_v"),
        ("lsgan", "auto", "r_v"),
        ("logistic", "auto", "r_t"),
        ("rpgan", "auto", "r_t"),
        ("logistic", "r_v", "r_v"),
        ("rpgan", "r_v", "r_v"),
    ],
)
def test_the_signal_is_one_that_the_loss_has(loss, given, signal):
    config = ada(loss, augment_signal=given)
    assert config.resolved_augment_signal == signal
    assert config.follows_validation == (signal == "r_v")


def test_without_ada_held_out_images_are_not_scored():
    config = TrainConfig(data=DataConfig(validation_images=200))
    assert not config.follows_validation
    assert config.validation_batch(64, replicas=1) == (0, 1)


@pytest.mark.parametrize(
    ("network", "batch_size", "by_replicas"),
    [
        # By groups of four: a fourth of them, at least one.
        ({}, 64, {1: (16, 1), 2: (16, 2), 4: (16, 4), 8: (16, 4)}),
        ({}, 16, {1: (4, 1), 2: (4, 1), 4: (4, 1)}),
        ({}, 4, {1: (4, 1)}),
        ({}, 96, {1: (24, 1), 4: (24, 2), 3: (24, 3)}),
        ({"minibatch_features": "none"}, 16, {1: (4, 1), 2: (4, 2), 16: (4, 4)}),
        ({"minibatch_features": "none"}, 3, {1: (1, 1)}),
        # Each image is compared with its replica's whole batch.
        ({"stddev_group_size": 0}, 16, {1: (16, 1), 2: (8, 1)}),
        ({"minibatch_features": "discrimination"}, 16, {1: (16, 1)}),
    ],
)
def test_a_step_scores_a_fourth_of_its_batch_in_whole_groups(network, batch_size, by_replicas):
    config = ada(network=NetworkConfig(**network))
    for replicas, expected in by_replicas.items():
        assert config.validation_batch(batch_size, replicas=replicas) == expected


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("--augment_target=0.6\n", None),  # in the files of runs without ADA
        ("--augment=ada\n--loss=logistic\n--augment_target=0.6\n", 0.6),
        ("--augment=ada\n--loss=logistic\n", None),
    ],
)
def test_files_from_before_there_was_a_second_signal_are_read(text, target):
    config = flags.parse_flagfile(text, "config.flags")
    assert config.augment.augment_target == target
    assert config.augment.target_of("r_t") == 0.6
    assert flags.parse_flagfile(flags.to_flagfile(config), "config.flags") == config
