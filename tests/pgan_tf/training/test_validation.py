"""Held-out images in a whole run: scored if augmentation follows them, and never trained on."""

import dataclasses

import numpy as np
import pytest

from pgan_tf.config import AugmentConfig, DataConfig
from pgan_tf.data.held_out import held_out_indices
from pgan_tf.training import loop
from tests.helpers.numbered import numbers_of, write_numbered
from tests.helpers.tiny import each_step, step_result, tiny_config
from tfrecords_tools.errors import UserError

COUNT, HELD_OUT = 37, 9


@pytest.fixture
def given(monkeypatch):
    """The numbers of images that are trained on, and of those scored, of each step in turn."""
    steps = []

    def make_train_step(state, config, strategy, *, resolution, fading, kind):
        def note(inputs):
            for step in each_step(inputs):
                scored = step.validation_images
                steps.append(
                    (
                        numbers_of(step.images.numpy()).tolist(),
                        None if scored is None else numbers_of(scored.numpy()).tolist(),
                    )
                )
            names = ("loss/discriminator", "loss/generator")
            return step_result({name: np.zeros(int(inputs.count)) for name in names})

        note.prepare, note.compile_ahead = lambda inputs: None, lambda: None
        return note

    monkeypatch.setattr(loop, "TrainStep", make_train_step)
    return steps


def config_for(data_dir, run_dir, total_kimg=0.144, *, augment, seed=1, **run):
    config = tiny_config(data_dir, run_dir, checkpoint_kimg=1, seed=seed, **run)
    schedule = dataclasses.replace(
        config.schedule, total_kimg=total_kimg, batch_size_by_resolution={4: 16}
    )
    data = dataclasses.replace(config.data, validation_images=HELD_OUT)
    return dataclasses.replace(config, schedule=schedule, data=data, augment=augment)


@pytest.mark.slow
def test_no_step_trains_on_held_out_images_and_all_of_them_are_scored(tmp_path, given):
    pyramid = write_numbered(tmp_path / "numbered", count=COUNT, resolution=8)
    held_out = set(held_out_indices(COUNT, HELD_OUT).tolist())
    ada = AugmentConfig(augment="ada")
    shown = {}
    for name, augment, seed in (("ada", ada, 1), ("plain", AugmentConfig(), 1), ("other", ada, 2)):
        given.clear()
        loop.train(config_for(pyramid.location, tmp_path / name, augment=augment, seed=seed))
        shown[name] = list(given)
        trained = {number for numbers, _ in given for number in numbers}
        assert trained == set(range(COUNT)) - held_out
    assert [reals for reals, _ in shown["plain"]] == [reals for reals, _ in shown["ada"]]
    assert {scored for _, scored in shown["plain"]} == {None}
    for name in ("ada", "other"):
        scored = [scored for _, scored in shown[name]]
        # A fourth of 16 reals; of 8, one group of minibatch stddev.
        assert [len(numbers) for numbers in scored] == [4] * 16
        counts = np.bincount(np.concatenate(scored), minlength=COUNT)
        assert set(np.flatnonzero(counts).tolist()) == held_out
        assert counts[list(held_out)].max() - counts[list(held_out)].min() <= 2
    assert shown["ada"] != shown["other"]

    # A run that stops and continues scores the same ones.
    given.clear()
    for total in (0.048, 0.144):
        loop.train(config_for(pyramid.location, tmp_path / "stopped", total, augment=ada))
    assert given == shown["ada"]


def test_fewer_held_out_images_than_a_step_scores_are_refused(tmp_path):
    pyramid = write_numbered(tmp_path / "numbered", count=COUNT, resolution=8)
    config = config_for(pyramid.location, tmp_path / "run", augment=AugmentConfig(augment="ada"))
    config = dataclasses.replace(config, data=DataConfig(pyramid.location, validation_images=3))
    message = "--validation_images must be at least 4, .* in each step at 4x4. Received: 3"
    with pytest.raises(UserError, match=message):
        loop.train(config)
    assert not (tmp_path / "run").exists()
