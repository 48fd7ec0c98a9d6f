"""The steps of a run that stops and continues have the inputs of one that never stopped."""

import dataclasses
import sys

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig, OptimizerConfig, ScheduleConfig
from pgan_tf.training import loop
from tests.helpers.tiny import each_step, step_result, tiny_config
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def given(monkeypatch):
    """A list of the inputs of every step; nothing is trained."""
    steps = []

    def make_train_step(state, config, strategy, *, resolution, fading, kind):
        def note(inputs):
            graph = {"resolution": resolution, "fading": fading, "kind": kind}
            for given in each_step(inputs):
                arrays = {name: np.array(value) for name, value in given._asdict().items()}
                steps.append({**graph, **arrays})
            names = ["loss/discriminator"] + ["loss/generator"] * kind.trains_generator
            return step_result({name: np.zeros(int(inputs.count)) for name in names})

        note.prepare, note.compile_ahead = lambda inputs: None, lambda: None
        return note

    monkeypatch.setattr(loop, "TrainStep", make_train_step)
    return steps


def config_for(data_dir, run_dir, total_kimg, **optimizer):
    config = tiny_config(data_dir, run_dir, checkpoint_kimg=1)
    schedule = dataclasses.replace(
        config.schedule,
        total_kimg=total_kimg,
        batch_size_by_resolution={4: 16},
        learning_rate_by_resolution={8: 0.002},
        rampup_kimg=0.04,
    )
    data = dataclasses.replace(config.data, mirror_augment=True)
    return dataclasses.replace(
        config, schedule=schedule, data=data, optimizer=OptimizerConfig(**optimizer)
    )


# At the end of 4x4, within the fade, and after it.
@pytest.mark.parametrize("stop", [0.032, 0.048, 0.08])
@pytest.mark.parametrize("steps_per_call", [1, 3])
def test_the_same_images_alpha_and_learning_rate_follow(
    labelled_dir, tmp_path, given, stop, steps_per_call
):
    loop.train(config_for(labelled_dir, tmp_path / "undisturbed", 0.112))
    expected = list(given)
    given.clear()
    loop.train(config_for(labelled_dir, tmp_path / "stopped", stop))
    assert 0 < len(given) < len(expected)
    continued = config_for(labelled_dir, tmp_path / "stopped", 0.112)
    run = dataclasses.replace(continued.run, steps_per_call=steps_per_call)
    loop.train(dataclasses.replace(continued, run=run))
    assert len(given) == len(expected) == 2 + 10
    for now, then in zip(given, expected, strict=True):
        assert now.keys() == then.keys()
        for name, value in then.items():
            np.testing.assert_array_equal(now[name], value, err_msg=name)


@pytest.mark.parametrize("stop", [0.048, 0.064])
def test_a_group_of_discriminator_steps_goes_on_in_its_middle(labelled_dir, tmp_path, given, stop):
    # Two steps at 4x4; then of 8 images, four while fading and six after.
    expected = [False, False, False, False, True, False, False, False, True, False, False, True]
    loop.train(config_for(labelled_dir, tmp_path / "undisturbed", 0.112, discriminator_steps=3))
    assert [step["kind"].trains_generator for step in given] == expected
    given.clear()
    for total in (stop, 0.112):
        loop.train(config_for(labelled_dir, tmp_path / "run", total, discriminator_steps=3))
    assert [step["kind"].trains_generator for step in given] == expected


@pytest.mark.parametrize("steps_per_call", [1, 3])
@pytest.mark.parametrize("stop", [0.048, 0.072])
def test_an_interval_of_penalties_goes_on_in_its_middle(
    labelled_dir, tmp_path, given, stop, steps_per_call
):
    def config(run_dir, total):
        config = config_for(labelled_dir, run_dir, total)
        run = dataclasses.replace(config.run, steps_per_call=steps_per_call)
        loss = LossConfig(loss="rpgan", penalty_interval=4)
        return dataclasses.replace(config, run=run, loss=loss)

    # Two steps at 4x4; then of 8 images, four while fading and six after.
    expected = [True, False] + [True, False, False, False] * 2 + [True, False]
    loop.train(config(tmp_path / "undisturbed", 0.112))
    assert [step["kind"].penalizes for step in given] == expected
    given.clear()
    for total in (stop, 0.112):
        loop.train(config(tmp_path / "run", total))
    assert [step["kind"].penalizes for step in given] == expected


@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_a_run_stopped_within_a_group_ends_with_the_same_weights(pyramid_dir, tmp_path, eager):
    def train(run_dir, total_kimg):
        config = config_for(
            pyramid_dir,
            run_dir,
            total_kimg,
            discriminator_steps=3,
            ema_update="generator_step",
            ema_half_life_kimg=0.05,
        )
        schedule = ScheduleConfig(start_resolution=8, total_kimg=total_kimg, batch_size=4)
        loop.train(dataclasses.replace(config, schedule=schedule))
        newest = run_dir / "checkpoints" / f"state-{round(1000 * total_kimg):09d}"
        reader = tf.train.load_checkpoint(str(newest))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    whole = train(tmp_path / "undisturbed", 0.024)
    train(tmp_path / "stopped", 0.016)  # one step into the second group
    continued = train(tmp_path / "stopped", 0.024)
    iterations = {name: int(v) for name, v in whole.items() if "_adam.Siteration" in name}
    assert sorted(iterations.values()) == [2, 6]
    for name, value in whole.items():
        if np.asarray(value).dtype == np.float32:
            np.testing.assert_allclose(continued[name], value, atol=1e-6, err_msg=name)


@pytest.fixture
def out_of_memory(monkeypatch):
    """Make each step run out of memory."""

    def make_train_step(*args, **kwargs):
        def fail(inputs):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

        return fail

    monkeypatch.setattr(loop, "TrainStep", make_train_step)


def test_pythons_switch_interval_is_shorter_only_while_training(
    labelled_dir, tmp_path, monkeypatch, request
):
    before, set_interval, intervals = sys.getswitchinterval(), sys.setswitchinterval, []

    def note(interval):
        intervals.append(interval)
        set_interval(interval)

    monkeypatch.setattr(sys, "setswitchinterval", note)
    request.getfixturevalue("given")
    loop.train(config_for(labelled_dir, tmp_path / "whole", 0.032))
    assert sys.getswitchinterval() == before
    assert intervals == [1e-4, before]
    request.getfixturevalue("out_of_memory")
    with pytest.raises(UserError):
        loop.train(config_for(labelled_dir, tmp_path / "broken", 0.032))
    assert sys.getswitchinterval() == before
    assert intervals == [1e-4, before] * 2
