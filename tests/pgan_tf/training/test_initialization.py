import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.step.train_state import TrainState
from pgan_tf.training import loop
from pgan_tf.training.initialization import fit_to_first_reals
from tests.helpers import layer_reference as reference
from tests.helpers.tiny import step_result, tiny_config, write_pyramid
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

NETWORK = NetworkConfig(
    resolution=8,
    fmap_base=32,
    fmap_max=8,
    minibatch_features="discrimination",
    discrimination_kernels=4,
    discrimination_dims=2,
)


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "tiny"
    return open_pyramid(write_pyramid(directory, resolution=8, channels=3, count=20))


def configured(pyramid, run_dir="", **schedule):
    config = tiny_config(pyramid.directory, run_dir)
    schedule = dataclasses.replace(config.schedule, **schedule)
    return dataclasses.replace(config, network=NETWORK, schedule=schedule)


def fitted(config, pyramid):
    state = TrainState(config, tf.distribute.OneDeviceStrategy("/CPU:0"))
    fit_to_first_reals(config, Schedule(config.schedule, 8), pyramid, state)
    return state


def weights(state):
    return {path: v.numpy() for path, v in state.discriminator.variables.items()}


def test_features_of_all_reals_have_mean_zero_and_nearest_neighbors_at_distance_two(pyramid):
    state = fitted(configured(pyramid), pyramid)
    # All 20 images, by the definition of the discriminator at 4x4.
    stored = weights(state)

    def layer(x, name):
        kernel, bias = stored[f"{name}/kernel"], stored[f"{name}/bias"]
        kernel = kernel * np.sqrt(2 / np.prod(kernel.shape[:-1]))
        dense = kernel.ndim == 2
        x = x @ kernel + bias if dense else reference.convolve(x, kernel, bias)
        return reference.leaky_relu(x)

    images = pyramid.level(4).read(np.arange(20)).transpose(0, 2, 3, 1) / 127.5 - 1
    x = layer(layer(images, "from_rgb_4x4"), "4x4_conv")
    x = layer(x.transpose(0, 3, 1, 2).reshape(20, -1), "4x4_dense0")
    direction = stored["4x4_discrimination/direction"]
    columns = direction / np.linalg.norm(direction, axis=0)
    projected = np.einsum("ni,ikd->nkd", x, columns)
    projected *= np.exp(stored["4x4_discrimination/log_scale"])
    distances = np.abs(projected[:, None] - projected[None]).sum(axis=-1)
    distances[np.arange(20), np.arange(20)] = np.inf
    np.testing.assert_allclose(distances.min(axis=1).mean(axis=0), 2.0, rtol=1e-4)
    mean = np.exp(-distances).sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(stored["4x4_discrimination/bias"], -mean, rtol=1e-4)


def test_only_minibatch_discrimination_is_fitted_and_always_the_same_way(pyramid):
    config = configured(pyramid)
    untouched = weights(TrainState(config, tf.distribute.OneDeviceStrategy("/CPU:0")))
    first, second = weights(fitted(config, pyramid)), weights(fitted(config, pyramid))
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path])
        changed = not np.array_equal(value, untouched[path])
        fits = path in ("4x4_discrimination/log_scale", "4x4_discrimination/bias")
        assert changed == fits, path


def test_a_run_that_begins_with_a_fade_is_fitted_to_faded_reals(pyramid):
    faded = weights(fitted(configured(pyramid, stabilize_kimg=0.0), pyramid))
    plain = weights(fitted(configured(pyramid), pyramid))
    # At alpha 0 the fade shows what 4x4 holds.
    for name in ("log_scale", "bias"):
        path = f"4x4_discrimination/{name}"
        np.testing.assert_allclose(faded[path], plain[path], rtol=2e-2, atol=2e-2)


def test_networks_of_another_run_stay_as_they_are(pyramid):
    config = configured(pyramid)
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, init_from="other"))
    state = fitted(config, pyramid)
    np.testing.assert_array_equal(weights(state)["4x4_discrimination/log_scale"], np.zeros([4, 2]))


def test_a_run_is_fitted_once_and_not_again_when_continued(pyramid, tmp_path, monkeypatch):
    def make_train_step(state, *_, **__):
        def step(inputs):
            state.discriminator.discrimination.log_scale.assign_add(np.ones([4, 2], np.float32))
            return step_result({"loss/discriminator": 0.0, "loss/generator": 0.0})

        return step

    monkeypatch.setattr(loop, "TrainStep", make_train_step)
    for total_kimg in (0.016, 0.032):  # two steps, and two more
        loop.train(configured(pyramid, tmp_path, total_kimg=total_kimg))
    state = TrainState(configured(pyramid), tf.distribute.OneDeviceStrategy("/CPU:0"))
    assert Checkpoints(tmp_path / "checkpoints", state, keep=1).restore()
    path = "4x4_discrimination/log_scale"
    expected = weights(fitted(configured(pyramid), pyramid))[path] + 4.0
    np.testing.assert_allclose(weights(state)[path], expected, rtol=1e-6)
