"""The trainer accepts every command that a finding recommends."""

import dataclasses
import shlex

import pytest

from pgan_tf.config.flags import to_flagfile
from pgan_tf.diagnosis.remedies import command_with, lower_rates, raise_rates
from tests.helpers.histories import subject
from tests.helpers.presets import config_of


def command(tmp_path, flags, *, images_seen=45_000, **sections):
    """Return a command's words, and the configuration that the trainer reads from it."""
    config = subject(**sections).config
    run = tmp_path / "run"
    run.mkdir()
    run.joinpath("config.flags").write_text(to_flagfile(config))
    text = command_with(config, flags, run=run, images_seen=images_seen)
    words = shlex.split(text[text.index("pgan-train") :])
    return words, config_of(*words[1:]), config


def test_other_flags_begin_a_new_run_with_the_networks(tmp_path):
    words, config, before = command(tmp_path, {"augment": "diffaugment"})
    assert f"--init_from={tmp_path / 'run'}" in words
    assert f"--run_dir={tmp_path / 'run-2'}" in words
    assert config.augment.augment == "diffaugment"
    assert (config.schedule.start_resolution, config.schedule.total_kimg) == (8, 15)
    assert config.network == before.network


def test_adjustable_flags_continue_the_run(tmp_path):
    words, config, _ = command(tmp_path, {"total_kimg": "80"})
    assert words == ["pgan-train", f"--run_dir={tmp_path / 'run'}", "--total_kimg=80"]
    assert config.schedule.total_kimg == 80


def test_rates_are_changed_at_every_resolution(tmp_path):
    schedule = {"learning_rate": 0.002, "learning_rate_by_resolution": {8: 0.004}}
    config = subject(schedule=schedule).config
    assert lower_rates(config) == {
        "learning_rate": "0.001",
        "learning_rate_by_resolution": "8:0.002",
    }
    assert raise_rates(config)["learning_rate"] == "0.004"
    _, config, _ = command(tmp_path, lower_rates(config), schedule=schedule)
    assert config.schedule.learning_rate_at(8) == 0.002


@pytest.mark.parametrize(
    ("flags", "sections"),
    [
        ({"ema_half_life_kimg": "1", "ema_decay": "0.999"}, {"optimizer": {"ema_decay": 0.99999}}),
        ({"r1_gamma": "10"}, {"loss": {"loss": "logistic", "r1_gamma": 0.0}}),
        ({"r1_gamma_by_resolution": "4:10,8:5"}, {"loss": {"loss": "logistic"}}),
        ({"precision": "mixed_bfloat16"},
         {"run": {"precision": "mixed_float16"}, "network": {"pixel_norm_epsilon": 1e-4}}),
    ],
)  # fmt: skip
def test_flags_that_depend_on_each_other_are_accepted(tmp_path, flags, sections):
    _, config, before = command(tmp_path, flags, **sections)
    for section in dataclasses.fields(config):
        for name in flags:
            if hasattr(getattr(before, section.name), name):
                assert getattr(getattr(config, section.name), name) is not None
    assert config != before


def test_a_stage_that_has_just_ended_is_named_though_it_is_the_first(tmp_path):
    flags = {"stabilize_kimg": "40", "start_resolution": "4", "total_kimg": "100"}
    _, config, _ = command(tmp_path, flags, images_seen=20_000)
    assert (config.schedule.start_resolution, config.schedule.total_kimg) == (4, 80)


def test_a_rate_that_falls_at_the_end_has_the_time_to(tmp_path):
    ramps = {"rampup_kimg": 1.5, "rampdown_kimg": 30.0}
    _, config, _ = command(tmp_path, {"learning_rate": "0.001"}, schedule=ramps)
    assert config.schedule.total_kimg == 32


def test_values_that_the_run_has_already_make_no_command(tmp_path):
    config = subject().config
    assert command_with(config, {"stabilize_kimg": "20"}, run=tmp_path, images_seen=45_000) == ""


def test_there_is_no_command_without_flags(tmp_path):
    config = subject().config
    assert command_with(config, {}, run=tmp_path, images_seen=45_000) == ""


@pytest.mark.parametrize("flags", [{"augment": "ada"}, {"fmap_max": "4"}])
def test_there_is_no_command_that_the_trainer_would_refuse(tmp_path, flags):
    config = subject().config  # of WGAN-GP, whose scores ada can't follow
    assert command_with(config, flags, run=tmp_path, images_seen=45_000) == ""
