import dataclasses
from pathlib import Path

import pytest

from pgan_tf.config.flags import differences
from pgan_tf.runs.branching import way_on
from tests.helpers.tiny import tiny_config

SAVED = tiny_config("data", "run")


def way(config, images_seen=48, run=Path("runs/x")):
    return way_on(run, SAVED, config, differences(SAVED, config), images_seen)


def changed(section, **values):
    new = dataclasses.replace(getattr(SAVED, section), **values)
    return dataclasses.replace(SAVED, **{section: new})


def test_the_command_names_the_run_the_change_its_stage_and_what_is_left():
    assert way(changed("schedule", batch_size=16)) == (
        "train its networks on in a new run: pgan-train --flagfile=runs/x/config.flags "
        "--init_from=runs/x --run_dir=runs/x-2 --batch_size=16 --start_resolution=8 "
        "--total_kimg=0.048"
    )


def test_networks_are_trained_on_without_labels():
    assert "--init_from=runs/x --run_dir=runs/x-2 --use_labels=false" in way(
        changed("data", use_labels=False)
    )


@pytest.mark.parametrize(
    "config",
    [
        changed("network", fmap_max=4),
        changed("network", generator_norm="none"),
    ],
)
def test_networks_of_another_shape_need_a_new_run(config):
    assert way(config) == "name a new --run_dir"


def test_a_run_without_a_step_has_no_networks_to_train_on():
    assert way(changed("run", seed=2), images_seen=0) == "name a new --run_dir"


def test_a_name_that_is_taken_is_not_proposed_and_names_are_quoted(tmp_path):
    (tmp_path / "my run-2").mkdir()
    text = way(changed("optimizer", adam_beta1=0.5), run=tmp_path / "my run")
    assert f"'--run_dir={tmp_path}/my run-3' --adam_beta1=0.5" in text
