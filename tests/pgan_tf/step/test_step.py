import dataclasses
import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from pgan_tf.config import LossConfig, OptimizerConfig
from pgan_tf.step.gradients import (
    discriminator_gradients,
    generator_gradients,
    simultaneous_gradients,
)
from pgan_tf.step.inputs import StepInputs
from pgan_tf.step.optimizer import apply_gradients
from pgan_tf.step.reals import prepare_reals
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers import layer_reference as reference
from tests.helpers.tiny import tiny_config


def inputs(
    batch=8, *, images_seen=0, label_size=0, channels=3, strategy=None, images=None, stop_flags=()
):
    rng = np.random.default_rng(images_seen)
    if images is None:
        images = rng.integers(0, 256, [batch, channels, 8, 8]).astype(np.uint8)
    classes = np.arange(batch) % max(label_size, 1)
    one_hot = np.eye(max(label_size, 1), label_size, dtype=np.float32)
    labels, fake_labels = one_hot[classes], one_hot[classes[::-1]]

    def split(array):
        if strategy is None:
            return tf.constant(array[np.newaxis])
        replicas = strategy.num_replicas_in_sync
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                array[np.newaxis, context.replica_id_in_sync_group :: replicas]
            )
        )

    return StepInputs(
        images=split(images),
        labels=split(labels),
        fake_labels=split(fake_labels),
        alpha=tf.constant([0.5]),
        learning_rate=tf.constant([0.01]),
        images_seen=tf.constant([images_seen], tf.int64),
        count=tf.constant(1),
        noise_seed=tf.constant(1, tf.int64),
        stop_flags=tf.constant(stop_flags, tf.float32),
    )


def arrays(network):
    return {path: variable.numpy() for path, variable in network.variables.items()}


def test_reals_are_scaled_to_the_unit_range():
    images = tf.constant([[[[0, 255], [51, 204]]]], tf.uint8)
    np.testing.assert_allclose(prepare_reals(images, None)[0, :, :, 0], [[-1, 1], [-0.6, 0.6]])


def test_reals_fade_from_the_resolution_below(rng):
    images = rng.integers(0, 256, [2, 3, 4, 4]).astype(np.uint8)
    full = images.transpose(0, 2, 3, 1) / 127.5 - 1.0
    expected = 0.75 * reference.upscale(reference.downscale(full)) + 0.25 * full
    actual = prepare_reals(tf.constant(images), tf.constant(0.25))
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_about_half_of_the_reals_are_mirrored_and_the_same_ones_each_time(rng):
    images = rng.integers(0, 256, [400, 1, 4, 4]).astype(np.uint8)
    seed = tf.constant([1, 2], tf.int64)
    plain = prepare_reals(tf.constant(images), None).numpy()
    mirrored = prepare_reals(tf.constant(images), None, mirror_seed=seed).numpy()
    flipped = (mirrored == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (mirrored == plain).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all()
    assert 0.4 < flipped.mean() < 0.6
    again = prepare_reals(tf.constant(images), None, mirror_seed=seed)
    np.testing.assert_array_equal(again, mirrored)


def test_dequantized_reals_fill_their_levels_evenly(rng):
    images = rng.integers(0, 256, [200, 3, 8, 8]).astype(np.uint8)
    seed = tf.constant([1, 2], tf.int64)
    plain = prepare_reals(tf.constant(images), None).numpy()
    dequantized = prepare_reals(tf.constant(images), None, dequantize_seed=seed).numpy()
    levels = (dequantized - plain) * 127.5
    assert scipy.stats.kstest(levels.ravel(), scipy.stats.uniform(-0.5, 1).cdf).pvalue > 0.01
    for axis in range(4):  # each number has noise of its own
        assert abs(np.corrcoef(levels.ravel(), np.roll(levels, 1, axis).ravel())[0, 1]) < 0.02
    again = prepare_reals(tf.constant(images), None, dequantize_seed=seed)
    np.testing.assert_array_equal(again, dequantized)


def test_dequantized_reals_fade_and_mirror_with_their_noise(rng):
    images = tf.constant(rng.integers(0, 256, [2, 3, 4, 4]).astype(np.uint8))
    seed, coins = tf.constant([1, 2], tf.int64), tf.constant([3, 4], tf.int64)
    full = prepare_reals(images, None, dequantize_seed=seed).numpy()
    expected = 0.75 * reference.upscale(reference.downscale(full)) + 0.25 * full
    actual = prepare_reals(images, tf.constant(0.25), dequantize_seed=seed)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    mirrored = prepare_reals(images, None, mirror_seed=coins, dequantize_seed=seed).numpy()
    for image, original in zip(mirrored, full, strict=True):
        assert (image == original).all() or (image == original[:, ::-1]).all()


class NumpyAdam:
    """Adam by its paper, with epsilon outside of the bias correction as in TensorFlow 1."""

    def __init__(self, beta2=0.99, epsilon=1e-8):
        self.beta2, self.epsilon, self.t, self.v = beta2, epsilon, 0, {}

    def step(self, weights, gradients, learning_rate):
        self.t += 1
        rate = learning_rate * np.sqrt(1 - self.beta2**self.t)
        updated = dict(weights)
        for name, g in gradients.items():
            self.v[name] = self.beta2 * self.v.get(name, 0.0) + (1 - self.beta2) * g**2
            updated[name] = weights[name] - rate * g / (np.sqrt(self.v[name]) + self.epsilon)
        return updated


def test_a_step_updates_discriminator_then_average_then_generator(one_device, monkeypatch):
    config = tiny_config(label_size=2)
    state = TrainState(config, one_device)
    recorded = record_gradients(monkeypatch)
    train_step = TrainStep(state, config, one_device, resolution=8, fading=True)
    adam, generator_adam = NumpyAdam(), NumpyAdam()
    tf.config.run_functions_eagerly(True)
    try:
        for i in range(3):
            before_g, before_d = arrays(state.generator), arrays(state.discriminator)
            before_ema = arrays(state.ema_generator)
            metrics = train_step(inputs(images_seen=8 * i, label_size=2)).last_scalars
            for network, gradients in recorded.items():
                norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients.values()))
                assert float(metrics[f"updates/{network}_gradient_norm"]) == pytest.approx(
                    norm, rel=1e-5
                )
            expected = adam.step(before_d, recorded["discriminator"], 0.01)
            for name, value in arrays(state.discriminator).items():
                np.testing.assert_allclose(value, expected[name], atol=2e-6, err_msg=name)
            expected = generator_adam.step(before_g, recorded["generator"], 0.01)
            for name, value in arrays(state.generator).items():
                np.testing.assert_allclose(value, expected[name], atol=2e-6, err_msg=name)
            for name, value in arrays(state.ema_generator).items():
                # Of the generator's weights as they were before this step's generator update.
                mean = before_ema[name] + (before_g[name] - before_ema[name]) * (1 - 0.9)
                np.testing.assert_allclose(value, mean, atol=2e-6, err_msg=name)
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def with_optimizer(config, **options):
    return dataclasses.replace(config, optimizer=OptimizerConfig(**options))


def stepped(strategy, config, *, trains_generator=True):
    """The state before and after a step at 4x4, as arrays, and the step's figures."""
    state = TrainState(config, strategy)
    for variable in state.ema_generator.variables.values():
        variable.assign(tf.ones_like(variable.value))
    networks = {"d": state.discriminator, "g": state.generator, "ema": state.ema_generator}
    before = {name: arrays(network) for name, network in networks.items()}
    images = np.zeros([8, 3, 4, 4], np.uint8)
    train_step = TrainStep(
        state, config, strategy, resolution=4, fading=False, trains_generator=trains_generator
    )
    metrics = train_step(inputs(images=images)).last_scalars
    return before, {name: arrays(network) for name, network in networks.items()}, metrics


@pytest.mark.parametrize("update", ["discriminator_step", "generator_step"])
def test_a_step_without_the_generator_leaves_it_alone(one_device, eager, update):
    config = with_optimizer(tiny_config(), ema_update=update, ema_decay=0.5, discriminator_steps=2)
    before, after, metrics = stepped(one_device, config, trains_generator=False)
    name = "4x4_conv/kernel"
    assert (after["d"][name] != before["d"][name]).any()
    np.testing.assert_array_equal(after["g"][name], before["g"][name])
    averaged = 0.5 + 0.5 * before["g"][name] if update == "discriminator_step" else 1.0
    np.testing.assert_allclose(after["ema"][name], averaged, atol=1e-6)
    assert "updates/discriminator_skipped" in metrics
    assert not [figure for figure in metrics if "generator" in figure]


@pytest.mark.parametrize(
    ("options", "decay"),
    [
        ({"ema_update": "generator_step", "ema_decay": 0.9}, 0.9),
        ({"ema_update": "generator_step", "ema_half_life_kimg": 0.016}, 0.5**0.5),
        ({"ema_update": "off"}, 0.0),
    ],
)
def test_after_the_generators_step_the_average_takes_its_new_weights(
    one_device, eager, options, decay
):
    before, after, _ = stepped(one_device, with_optimizer(tiny_config(), **options))
    name = "4x4_conv/kernel"
    assert (after["g"][name] != before["g"][name]).any()
    expected = decay + (1 - decay) * after["g"][name]
    np.testing.assert_allclose(after["ema"][name], expected, atol=1e-6)
    if decay == 0.0:
        np.testing.assert_array_equal(after["ema"][name], after["g"][name])


@pytest.mark.parametrize("update", ["discriminator_step", "generator_step", "off"])
def test_simultaneous_updates_take_both_gradients_before_either(
    one_device, eager, monkeypatch, update
):
    recorded = {}

    def spy(*args, **kwargs):
        g, d, metrics = simultaneous_gradients(*args, **kwargs)
        for name, variables, gradients in (("g", args[2], g), ("d", args[3], d)):
            pairs = zip(variables, gradients, strict=True)
            recorded[name] = {v.path: gradient.numpy() for v, gradient in pairs}
        return g, d, metrics

    monkeypatch.setattr("pgan_tf.step.iteration.simultaneous_gradients", spy)
    options = {} if update == "off" else {"ema_decay": 0.5}
    config = with_optimizer(tiny_config(), simultaneous_updates=True, ema_update=update, **options)
    before, after, metrics = stepped(one_device, config)
    for network in ("g", "d"):
        expected = NumpyAdam().step(before[network], recorded[network], 0.01)
        for name, value in after[network].items():
            np.testing.assert_allclose(value, expected[name], atol=2e-6, err_msg=name)
    name = "4x4_conv/kernel"
    averaged = {
        "discriminator_step": 0.5 + 0.5 * before["g"][name],
        "generator_step": 0.5 + 0.5 * after["g"][name],
        "off": after["g"][name],
    }
    np.testing.assert_allclose(after["ema"][name], averaged[update], atol=1e-6)
    assert {"updates/generator_skipped", "loss/generator", "loss/discriminator"} <= set(metrics)


def record_gradients(monkeypatch):
    """Notes the gradients that a step computes, by variable path."""
    recorded = {}

    def spy(name, function):
        def wrapped(generator, discriminator, variables, *args, **kwargs):
            gradients, metrics = function(generator, discriminator, variables, *args, **kwargs)
            recorded[name] = {v.path: g.numpy() for v, g in zip(variables, gradients, strict=True)}
            return gradients, metrics

        return wrapped

    for name, function in (
        ("discriminator", discriminator_gradients),
        ("generator", generator_gradients),
    ):
        monkeypatch.setattr(f"pgan_tf.step.iteration.{name}_gradients", spy(name, function))
    return recorded


def test_a_step_leaves_other_stages_alone(one_device):
    config = tiny_config()
    state = TrainState(config, one_device)
    before = arrays(state.generator)
    images = np.zeros([8, 3, 4, 4], np.uint8)
    train_step = TrainStep(state, config, one_device, resolution=4, fading=False)
    train_step(inputs(images=images))
    changed = {name for name, value in arrays(state.generator).items()
               if (value != before[name]).any()}  # fmt: skip
    assert changed == {v.path for v in state.generator.variables_at(4, fading=False)}


def test_noise_is_a_function_of_seed_and_images_seen(one_device):
    figures = []
    for seen in (0, 0, 8):
        config = tiny_config()
        state = TrainState(config, one_device)
        train_step = TrainStep(state, config, one_device, resolution=8, fading=False)
        images = np.full([8, 3, 8, 8], 7, np.uint8)
        figures.append(
            float(train_step(inputs(images_seen=seen, images=images)).last_scalars["scores/fake"])
        )
    assert figures[0] == figures[1] != figures[2]


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
    metrics = train_step(inputs()).last_scalars
    assert float(metrics["updates/discriminator_skipped"]) == 1.0
    assert float(metrics["updates/generator_skipped"]) == 1.0
    for network_arrays, now in (
        (before_g, arrays(state.generator)),
        (before_d, arrays(state.discriminator)),
    ):
        for name, value in now.items():
            np.testing.assert_array_equal(value, network_arrays[name], err_msg=name)
    assert int(state.discriminator_optimizer.iterations.numpy()) == 0


def test_a_gradient_too_large_to_be_squared_is_skipped(one_device):
    # Adam's second moment would overflow, and its weight stand still from then on.
    config = tiny_config()
    state = TrainState(config, one_device)
    variable = state.discriminator.variables["4x4_dense1/bias"]
    for gradient, expected in ((1e10, 0.0), (1e25, 1.0)):
        skipped, _ = apply_gradients(
            state.discriminator_optimizer, [tf.constant([gradient])], [variable], tf.constant(0.1)
        )
        assert float(skipped) == expected
    assert int(state.discriminator_optimizer.iterations.numpy()) == 1
    assert np.isfinite(variable.numpy()).all()


def test_mixed_bfloat16_takes_finite_steps_close_to_float32(one_device):
    figures = {}
    for precision in ("float32", "mixed_bfloat16"):
        config = tiny_config(precision=precision)
        state = TrainState(config, one_device)
        train_step = TrainStep(state, config, one_device, resolution=8, fading=True)
        metrics = train_step(inputs()).last_scalars
        assert float(metrics["updates/discriminator_skipped"]) == 0.0
        figures[precision] = float(metrics["loss/discriminator"])
    assert figures["mixed_bfloat16"] == pytest.approx(figures["float32"], rel=0.05)


def test_generator_gradients_do_not_touch_the_discriminator(one_device):
    config = tiny_config()
    state = TrainState(config, one_device)
    variables = state.generator.variables_at(8, fading=False)
    gradients, metrics = generator_gradients(
        functools.partial(state.generator, resolution=8, training=True),
        functools.partial(state.discriminator, resolution=8, training=True),
        variables,
        LossConfig(),
        labels=None,
        latents=tf.ones([8, 8]),
    )
    assert len(gradients) == len(variables)
    assert set(metrics) == {"loss/generator"}
