import pytest

from pgan_tf.config import LossConfig, OptimizerConfig, TrainConfig
from pgan_tf.config.step_kinds import longest_run


def config_of(discriminator_steps=1, penalty_interval=1):
    return TrainConfig(
        optimizer=OptimizerConfig(discriminator_steps=discriminator_steps),
        loss=LossConfig(loss="logistic", penalty_interval=penalty_interval),
    )


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [True] * 6), (3, [False, False, True, False, False, True])]
)
def test_the_generator_is_trained_with_the_last_of_its_discriminator_steps(steps, expected):
    config = config_of(discriminator_steps=steps)
    assert [config.step_kind(number).trains_generator for number in range(6)] == expected


@pytest.mark.parametrize(
    ("interval", "expected"), [(1, [True] * 6), (3, [True, False, False, True, False, False])]
)
def test_the_first_step_of_each_interval_penalizes(interval, expected):
    config = config_of(penalty_interval=interval)
    assert [config.step_kind(number).penalizes for number in range(6)] == expected


def test_both_intervals_run_beside_each_other():
    config = config_of(discriminator_steps=2, penalty_interval=3)
    kinds = [tuple(config.step_kind(number)) for number in range(12)]
    assert kinds == [(n % 2 == 1, n % 3 == 0) for n in range(12)]
    assert tuple(kinds) == 2 * config.step_kinds


@pytest.mark.parametrize(
    ("discriminator_steps", "interval", "runs"),
    [
        (1, 1, {(True, True): None}),
        (1, 4, {(True, True): 1, (True, False): 3}),
        (5, 1, {(True, True): 1, (False, True): 4}),
        # g g p g g g p G g p g G: a run goes on from the end of a cycle to the next one's start.
        (4, 3, {(False, True): 1, (False, False): 2, (True, True): 1, (True, False): 1}),
    ],
)
def test_the_longest_run_of_a_kind_is_that_of_its_steps(discriminator_steps, interval, runs):
    kinds = config_of(discriminator_steps, interval).step_kinds
    assert {tuple(kind): longest_run(kinds, kind) for kind in kinds} == runs
