import pytest

from pgan_tf.config import LossConfig, NetworkConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from pgan_tf.config.by_stage import describe_by_stage
from pgan_tf.config.phases import Schedule

RULE = "--r1_gamma by rule, 0.0002 * pixels / batch size"


@pytest.mark.parametrize(
    ("loss", "optimizer", "expected"),
    [
        ({}, {}, []),
        ({"loss": "logistic", "r1_gamma": 3.0}, {}, []),
        ({"loss": "rpgan"}, {}, [f"{RULE}: 0.0256 at 4x4 to 8x8, 0.0512 at 16x16"]),
        (
            {"loss": "rpgan", "gradient_penalty_resolution": "stage"},
            {},
            [f"{RULE}: 0.0016 at 4x4, 0.0064 at 8x8, 0.0512 at 16x16"],
        ),
        (
            {"loss": "rpgan", "r1_gamma_by_resolution": {8: 2.0}},
            {},
            ["--r1_gamma: 0.0256 at 4x4, 2 at 8x8, 0.0512 at 16x16"],
        ),
        (
            {"loss": "logistic", "r2_gamma_by_resolution": {16: 0.5, 32: 4.0}},
            {"adam_beta2": 0.9, "adam_beta2_by_resolution": {16: 0.99995}},
            [
                "--r2_gamma: 0 at 4x4 to 8x8, 0.5 at 16x16",
                "--adam_beta2: 0.9 at 4x4 to 8x8, 0.99995 at 16x16",
            ],
        ),
    ],
    ids=str,
)
def test_values_of_their_own_are_described_for_each_stage(loss, optimizer, expected):
    config = TrainConfig(
        network=NetworkConfig(resolution=16),
        loss=LossConfig(**loss),
        optimizer=OptimizerConfig(**optimizer),
        schedule=ScheduleConfig(batch_size=2, batch_size_by_resolution={16: 1}),
    )
    assert describe_by_stage(config, Schedule(config.schedule, 16)) == expected
