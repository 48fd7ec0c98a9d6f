import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import OptimizerConfig
from pgan_tf.config.optimizer import MAX_EMA_LENGTH
from pgan_tf.step.power_average import PowerAverage, exponent_of, length_of
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config


@pytest.mark.parametrize("exponent", [0.0, 1.0, 6.94, 16.97, 100.0])
def test_a_length_is_the_standard_deviation_of_its_profile(exponent):
    edges = np.linspace(0.0, 1.0, 200_001)
    middles, masses = (edges[1:] + edges[:-1]) / 2, np.diff(edges ** (exponent + 1))
    mean = np.sum(masses * middles)
    deviation = np.sqrt(np.sum(masses * (middles - mean) ** 2))
    assert length_of(exponent) == pytest.approx(deviation, rel=1e-6)


# The last two are those of the paper, section 3.1.
@pytest.mark.parametrize(
    ("length", "exponent"),
    [(1e-6, 999998.0), (0.28, 0.169), (1 / np.sqrt(12), 0.0), (0.1, 6.94), (0.05, 16.97)],
)
def test_the_exponent_of_a_length(length, exponent):
    assert exponent_of(length) == pytest.approx(exponent, abs=0.05, rel=1e-3)
    assert length_of(exponent_of(length)) == pytest.approx(length, rel=1e-9)


def walk(batches, shape=(40,), seed=0):
    """Return a random walk of weights, one row a batch, in float32."""
    steps = np.random.default_rng(seed).normal(size=[len(batches), *shape])
    return np.cumsum(steps * np.sqrt(np.array(batches))[:, np.newaxis] * 1e-3, axis=0, dtype="f4")


@pytest.mark.parametrize("jit", [False, True])
def test_an_average_has_its_profile_over_images_of_batches_of_any_size(jit):
    batches = [64] * 500 + [16] * 2000 + [4] * 2000
    ends = np.cumsum(batches)
    weights = walk(batches)
    variable = keras.Variable(np.zeros(40, "f4"), name="w")
    average = PowerAverage(0.1, {"w": variable})

    @tf.function(jit_compile=jit, reduce_retracing=True)
    def update(value, images_seen, batch_size):
        variable.assign(value)
        average.update([variable], images_seen, batch_size)

    for value, end, batch in zip(weights, ends, batches, strict=True):
        update(tf.constant(value), tf.constant(end - batch, tf.int64), batch)
    edges = np.append(0, ends) / ends[-1]
    masses = np.diff(edges ** (exponent_of(0.1) + 1))
    expected = masses @ weights.astype(np.float64)
    np.testing.assert_allclose(average.variables["w"], expected, atol=1e-5)


def test_a_rate_far_below_the_rounding_of_one_is_exact():
    variable = keras.Variable(np.ones(1, "f4"), name="w")
    average = PowerAverage(MAX_EMA_LENGTH, {"w": variable})
    average.update([variable], tf.constant(10**9, tf.int64), 4)
    expected = 4 * (exponent_of(MAX_EMA_LENGTH) + 1) / 10**9
    np.testing.assert_allclose(average.variables["w"], [expected], rtol=1e-5)


def stepped(strategy, *, steps=3, lengths="0.05,0.1", **run):
    """Return the state after iterations, and the generator's weights before each of them."""
    config = tiny_config(**run)
    optimizer = OptimizerConfig(ema_decay=0.9, ema_lengths=lengths)
    config = dataclasses.replace(config, optimizer=optimizer)
    state = TrainState(config, strategy)
    train_step = TrainStep(state, config, strategy, resolution=8, fading=False)
    chosen = strategy if strategy.num_replicas_in_sync > 1 else None
    before = []
    for number in range(steps):
        before.append(arrays(state.generator))
        train_step(step_inputs(images_seen=8 * number, strategy=chosen))
    return state, before


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", ["off", "on"])
def test_a_step_averages_the_weights_with_which_the_batch_was_shown(one_device, jit_compile):
    state, before = stepped(one_device, jit_compile=jit_compile)
    for average in state.power_averages:
        masses = np.diff((np.arange(4) / 3) ** (exponent_of(average.length) + 1))
        for name in average.variables:
            expected = sum(mass * w[name] for mass, w in zip(masses, before, strict=True))
            np.testing.assert_allclose(average.variables[name], expected, atol=1e-6, err_msg=name)
    assert (before[2]["8x8_conv0/kernel"] != before[0]["8x8_conv0/kernel"]).any()
    names = state.variables()
    assert {"generator_ema_0.05/4x4_conv/kernel", "generator_ema_0.1/4x4_conv/bias"} <= set(names)


@pytest.mark.slow
def test_it_leaves_every_bit_of_the_rest(one_device):
    with_averages, without = stepped(one_device)[0], stepped(one_device, lengths="")[0]
    rest = without.variables()
    assert not any(name.startswith("generator_ema_") for name in rest)
    for name, variable in rest.items():
        np.testing.assert_array_equal(with_averages.variables()[name], variable, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", ["off", "on"])
def test_replicas_average_alike(one_device, two_replicas, jit_compile):
    one = stepped(one_device, jit_compile=jit_compile)[0]
    two = stepped(two_replicas, jit_compile=jit_compile)[0]
    for average, on_two in zip(one.power_averages, two.power_averages, strict=True):
        for name, variable in average.variables.items():
            copies = two_replicas.experimental_local_results(on_two.variables[name].value)
            np.testing.assert_array_equal(copies[0], copies[1])
            np.testing.assert_allclose(copies[0], variable, atol=2e-5, err_msg=name)
