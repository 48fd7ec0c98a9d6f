"""A run that stops and continues gives its steps the same inputs as one that never stopped."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf import loop
from pgan_tf.step import StepResult
from tests.pgan_tf.tiny import tiny_config
from tfrecords_tools.errors import UserError


@pytest.fixture
def given(monkeypatch):
    """Notes what each step is given, and trains nothing."""
    steps = []

    def make_train_step(state, config, strategy, *, resolution, fading):
        def note(inputs):
            arrays = {name: np.array(value) for name, value in inputs._asdict().items()}
            steps.append({"resolution": resolution, "fading": fading, **arrays})
            metrics = {"loss/discriminator": tf.constant(0.0), "loss/generator": tf.constant(0.0)}
            return StepResult(metrics, inputs.votes)

        return note

    monkeypatch.setattr(loop, "make_train_step", make_train_step)
    return steps


def config_for(data_dir, run_dir, total_kimg):
    config = tiny_config(data_dir, run_dir, checkpoint_kimg=1)
    schedule = dataclasses.replace(
        config.schedule,
        total_kimg=total_kimg,
        batch_size_by_resolution={4: 16},
        learning_rate_by_resolution={8: 0.002},
    )
    data = dataclasses.replace(config.data, mirror_augment=True)
    return dataclasses.replace(config, schedule=schedule, data=data)


# At the end of 4x4, within the fade, and after it.
@pytest.mark.parametrize("stop", [0.032, 0.048, 0.08])
def test_the_same_images_alpha_and_learning_rate_follow(labelled_dir, tmp_path, given, stop):
    loop.train(config_for(labelled_dir, tmp_path / "undisturbed", 0.112))
    expected = list(given)
    given.clear()
    loop.train(config_for(labelled_dir, tmp_path / "stopped", stop))
    assert 0 < len(given) < len(expected)
    loop.train(config_for(labelled_dir, tmp_path / "stopped", 0.112))
    assert len(given) == len(expected) == 2 + 10
    for now, then in zip(given, expected, strict=True):
        assert now.keys() == then.keys()
        for name, value in then.items():
            np.testing.assert_array_equal(now[name], value, err_msg=name)


def test_running_out_of_memory_says_what_to_do(labelled_dir, tmp_path, monkeypatch):
    def make_train_step(*args, **kwargs):
        def fail(inputs):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

        return fail

    monkeypatch.setattr(loop, "make_train_step", make_train_step)
    with pytest.raises(UserError) as caught:
        loop.train(config_for(labelled_dir, tmp_path / "run", 0.112))
    said = str(caught.value)
    assert "out of memory in 4x4 stabilize with --batch_size 16" in said
    assert f"--init_from={tmp_path / 'run'} --batch_size_by_resolution=4:..." in said
