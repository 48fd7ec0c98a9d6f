import threading

import numpy as np
import pytest

from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow


def test_a_step_leaves_other_stages_alone(one_device):
    config = tiny_config()
    state = TrainState(config, one_device)
    before = arrays(state.generator)
    images = np.zeros([8, 3, 4, 4], np.uint8)
    train_step = TrainStep(state, config, one_device, resolution=4, fading=False)
    train_step(step_inputs(images=images))
    changed = {name for name, value in arrays(state.generator).items()
               if (value != before[name]).any()}  # fmt: skip
    assert changed == {v.path for v in state.generator.variables_at(4, fading=False)}


@pytest.mark.parametrize("devices", ["one_device", "two_replicas"])
def test_preparing_builds_the_graph_and_leaves_the_state_alone(request, devices):
    strategy = request.getfixturevalue(devices)
    config = tiny_config()
    state = TrainState(config, strategy)
    before = {name: variable.numpy() for name, variable in state.variables().items()}
    train_step = TrainStep(state, config, strategy, resolution=8, fading=True)
    inputs = step_inputs(strategy=strategy if devices == "two_replicas" else None)
    thread = threading.Thread(target=train_step.prepare, args=(inputs,))
    thread.start()
    thread.join()
    for name, variable in state.variables().items():
        np.testing.assert_array_equal(variable.numpy(), before[name], err_msg=name)
    assert train_step(inputs).scalars.shape[0] == 1
    assert train_step.graph.experimental_get_tracing_count() == 1


def test_noise_is_a_function_of_seed_and_images_seen(one_device):
    found = []
    for seen in (0, 0, 8):
        config = tiny_config()
        state = TrainState(config, one_device)
        train_step = TrainStep(state, config, one_device, resolution=8, fading=False)
        images = np.full([8, 3, 8, 8], 7, np.uint8)
        result = train_step(step_inputs(images_seen=seen, images=images))
        found.append(result.last_scalars["scores/fake"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("network", ["discriminator", "generator"])
def test_an_update_that_is_not_finite_is_skipped_and_counted(one_device, network):
    config = tiny_config()
    state = TrainState(config, one_device)
    # Either network's fakes pass through the other, so one bad weight spoils both updates.
    damaged = state.discriminator if network == "discriminator" else state.generator
    variable = damaged.variables["4x4_conv/kernel"]
    variable.assign(np.full(variable.shape, np.nan))
    before_g, before_d = arrays(state.generator), arrays(state.discriminator)
    train_step = TrainStep(state, config, one_device, resolution=8, fading=False)
    scalars = train_step(step_inputs()).last_scalars
    assert float(scalars["updates/discriminator_skipped"]) == 1.0
    assert float(scalars["updates/generator_skipped"]) == 1.0
    for network_arrays, now in (
        (before_g, arrays(state.generator)),
        (before_d, arrays(state.discriminator)),
    ):
        for name, value in now.items():
            np.testing.assert_array_equal(value, network_arrays[name], err_msg=name)
    assert int(state.discriminator_optimizer.iterations.numpy()) == 0


def test_mixed_bfloat16_takes_finite_steps_close_to_float32(one_device):
    found = {}
    for precision in ("float32", "mixed_bfloat16"):
        config = tiny_config(precision=precision)
        state = TrainState(config, one_device)
        train_step = TrainStep(state, config, one_device, resolution=8, fading=True)
        scalars = train_step(step_inputs()).last_scalars
        assert float(scalars["updates/discriminator_skipped"]) == 0.0
        found[precision] = float(scalars["loss/discriminator"])
    assert found["mixed_bfloat16"] == pytest.approx(found["float32"], rel=0.05)
