import dataclasses

from pgan_tf.config import ScheduleConfig, TrainConfig
from pgan_tf.reporting.hyperparameters import hyperparameters
from tests.helpers.tiny import tiny_config


def test_hyperparameters_are_what_changes_a_run():
    values = hyperparameters(tiny_config("data/shapes", "runs/shapes", seed=3))
    assert values["data"] == "shapes"
    assert values["seed"] == 3
    assert values["total_kimg"] == 0.096
    assert values["latent_size"] == 8
    assert values["mirror_augment"] is False
    for name in ("run_dir", "data_dir", "tick_kimg", "profile", "channels"):
        assert name not in values
    assert all(isinstance(value, bool | int | float | str) for value in values.values())


def test_tables_by_resolution_are_text():
    schedule = ScheduleConfig(batch_size_by_resolution={8: 32, 4: 64})
    config = dataclasses.replace(TrainConfig(), schedule=schedule)
    assert hyperparameters(config)["batch_size_by_resolution"] == "4:64,8:32"
