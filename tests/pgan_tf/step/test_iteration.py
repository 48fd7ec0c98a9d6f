"""The updates of an iteration, in their order, against NumPy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import FULL_STEP, LossConfig, OptimizerConfig, ScheduleConfig, StepKind
from pgan_tf.step.gradients import penalty_gradients, simultaneous_gradients
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, record_gradients, step_inputs
from tests.helpers.tiny import tiny_config


class NumpyAdam:
    """Adam as in its paper, with epsilon outside of the bias correction as in TensorFlow 1."""

    def __init__(self, beta2=0.99, epsilon=1e-8):
        self.beta2, self.epsilon, self.product, self.v = beta2, epsilon, 1.0, {}

    def step(self, weights, gradients, learning_rate):
        self.product *= self.beta2
        rate = learning_rate * np.sqrt(1 - self.product)
        updated = dict(weights)
        for name, g in gradients.items():
            self.v[name] = self.beta2 * self.v.get(name, 0.0) + (1 - self.beta2) * g**2
            updated[name] = weights[name] - rate * g / (np.sqrt(self.v[name]) + self.epsilon)
        return updated


@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_a_step_updates_discriminator_then_average_then_generator(one_device, monkeypatch):
    # Gradients are recorded as they are computed, so a batch must be whole.
    config = tiny_config(label_size=2, microbatches="off")
    state = TrainState(config, one_device)
    recorded = record_gradients(monkeypatch)
    train_step = TrainStep(state, config, one_device, resolution=8, fading=True)
    adam, generator_adam = NumpyAdam(), NumpyAdam()
    tf.config.run_functions_eagerly(True)
    try:
        for i in range(3):
            before_g, before_d = arrays(state.generator), arrays(state.discriminator)
            before_ema = arrays(state.ema_generator)
            scalars = train_step(step_inputs(images_seen=8 * i, label_size=2)).last_scalars
            for network, gradients in recorded.items():
                norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients.values()))
                assert float(scalars[f"updates/{network}_gradient_norm"]) == pytest.approx(
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


def with_optimizer(config, **options):
    return dataclasses.replace(config, optimizer=OptimizerConfig(**options))


def stepped(strategy, config, *, kind=FULL_STEP, images_seen=0):
    """Return the networks before and after an iteration at 4x4, and the iteration's scalars."""
    state = TrainState(config, strategy)
    for variable in state.ema_generator.variables.values():
        variable.assign(tf.ones_like(variable.value))
    networks = {"d": state.discriminator, "g": state.generator, "ema": state.ema_generator}
    before = {name: arrays(network) for name, network in networks.items()}
    images = np.zeros([8, 3, 4, 4], np.uint8)
    train_step = TrainStep(state, config, strategy, resolution=4, fading=False, kind=kind)
    scalars = train_step(step_inputs(images=images, images_seen=images_seen)).last_scalars
    return before, {name: arrays(network) for name, network in networks.items()}, scalars


@pytest.mark.parametrize("update", ["discriminator_step", "generator_step"])
def test_a_step_without_the_generator_leaves_it_alone(one_device, eager, update):
    config = with_optimizer(tiny_config(), ema_update=update, ema_decay=0.5, discriminator_steps=2)
    before, after, scalars = stepped(one_device, config, kind=StepKind(trains_generator=False))
    name = "4x4_conv/kernel"
    assert (after["d"][name] != before["d"][name]).any()
    np.testing.assert_array_equal(after["g"][name], before["g"][name])
    averaged = 0.5 + 0.5 * before["g"][name] if update == "discriminator_step" else 1.0
    np.testing.assert_allclose(after["ema"][name], averaged, atol=1e-6)
    assert "updates/discriminator_skipped" in scalars
    assert not [name for name in scalars if "generator" in name]


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


@pytest.mark.parametrize(
    ("images_seen", "options", "decay"),
    [
        (0, {"ema_decay": 0.9}, 0.0),
        (80, {"ema_decay": 0.9}, 0.5),  # a half-life of 8 images, one batch
        (160, {"ema_decay": 0.9}, 0.5**0.5),
        (160, {"ema_half_life_kimg": 1.0}, 0.5**0.5),
        (160, {"ema_half_life_kimg": 0.008}, 0.5),
        (10**6, {"ema_decay": 0.9}, 0.9),
    ],
)
def test_the_averages_half_life_is_at_most_a_fraction_of_the_images_seen(
    one_device, eager, images_seen, options, decay
):
    config = with_optimizer(tiny_config(), ema_rampup=0.1, ema_update="generator_step", **options)
    _, after, _ = stepped(one_device, config, images_seen=images_seen)
    name = "4x4_conv/kernel"
    expected = decay + (1 - decay) * after["g"][name]
    np.testing.assert_allclose(after["ema"][name], expected, atol=1e-6)


@pytest.mark.parametrize("update", ["discriminator_step", "generator_step", "off"])
def test_simultaneous_updates_take_both_gradients_before_either(
    one_device, eager, monkeypatch, update
):
    recorded = {}

    def spy(*args, **kwargs):
        g, d, scalars = simultaneous_gradients(*args, **kwargs)
        for name, network, gradients in (("g", "generator", g), ("d", "discriminator", d)):
            pairs = zip(kwargs[f"{network}_variables"], gradients, strict=True)
            recorded[name] = {v.path: gradient.numpy() for v, gradient in pairs}
        return g, d, scalars

    monkeypatch.setattr("pgan_tf.step.iteration.simultaneous_gradients", spy)
    options = {} if update == "off" else {"ema_decay": 0.5}
    config = with_optimizer(tiny_config(), simultaneous_updates=True, ema_update=update, **options)
    before, after, scalars = stepped(one_device, config)
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
    assert {"updates/generator_skipped", "loss/generator", "loss/discriminator"} <= set(scalars)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_a_lazy_penalty_is_one_more_update_with_adjusted_adam(
    one_device, eager, monkeypatch, simultaneous
):
    recorded = record_gradients(monkeypatch)
    config = with_optimizer(tiny_config(), simultaneous_updates=simultaneous)
    loss = LossConfig(loss="rpgan", penalty_interval=4)
    config = dataclasses.replace(config, loss=loss)
    if simultaneous:

        def spy(*args, **kwargs):
            g, d, scalars = simultaneous_gradients(*args, **kwargs)
            pairs = zip(kwargs["discriminator_variables"], d, strict=True)
            recorded["discriminator"] = {v.path: x.numpy() for v, x in pairs}
            return g, d, scalars

        monkeypatch.setattr("pgan_tf.step.iteration.simultaneous_gradients", spy)
    for kind in (FULL_STEP, StepKind(penalizes=False)):
        recorded.clear()
        before, after, scalars = stepped(one_device, config, kind=kind)
        # c = 4/5: the rate times c, beta2 to the power of c.
        adam = NumpyAdam(beta2=0.99**0.8)
        expected = adam.step(before["d"], recorded["discriminator"], 0.8 * 0.01)
        assert ("penalty" in recorded) == ("loss/gradient_penalty" in scalars) == kind.penalizes
        if kind.penalizes:
            expected = adam.step(expected, recorded["penalty"], 0.8 * 0.01)
        for name, value in after["d"].items():
            np.testing.assert_allclose(value, expected[name], atol=2e-6, err_msg=name)


@pytest.mark.parametrize("reset", [True, False])
def test_each_stage_has_its_own_beta2_whether_moments_are_kept_or_not(
    one_device, eager, monkeypatch, reset
):
    config = with_optimizer(
        tiny_config(microbatches="off"),
        adam_beta2=0.8,
        adam_beta2_by_resolution={8: 0.99},
        reset_optimizer=reset,
    )
    loss = LossConfig(loss="rpgan", penalty_interval=4)
    config = dataclasses.replace(config, loss=loss)
    state = TrainState(config, one_device)
    recorded = record_gradients(monkeypatch)
    adams = {"generator": NumpyAdam(beta2=0.8), "discriminator": NumpyAdam(beta2=0.8**0.8)}
    for phase, (resolution, beta2) in enumerate([(4, 0.8), (8, 0.99)]):  # 8x8 fades in
        if phase and reset:
            state.enter_phase(phase, reset_optimizers=True)
            adams = {name: NumpyAdam() for name in adams}
        adams["generator"].beta2, adams["discriminator"].beta2 = beta2, beta2**0.8
        train_step = TrainStep(
            state, config, one_device, resolution=resolution, fading=phase > 0, kind=FULL_STEP
        )
        for i in range(2):
            networks = {"generator": state.generator, "discriminator": state.discriminator}
            expected = {name: arrays(network) for name, network in networks.items()}
            images = np.zeros([8, 3, resolution, resolution], np.uint8)
            train_step(step_inputs(images=images, images_seen=8 * i))
            for name, rate in (("generator", 0.01), ("discriminator", 0.008), ("penalty", 0.008)):
                network = "discriminator" if name == "penalty" else name
                expected[network] = adams[network].step(expected[network], recorded[name], rate)
            for network, weights in expected.items():
                for name, value in arrays(networks[network]).items():
                    np.testing.assert_allclose(value, weights[name], atol=3e-6, err_msg=name)
    # What a continued run needs.
    assert any("beta2" in name for name in state.variables()) == (not reset)


@pytest.mark.parametrize("penalty_interval", [1, 4])
def test_each_stage_has_its_own_weights_of_penalties(one_device, eager, penalty_interval):
    def scalars(**loss):
        loss = LossConfig(loss="logistic", penalty_interval=penalty_interval, **loss)
        return stepped(one_device, dataclasses.replace(tiny_config(), loss=loss))[2]

    by_stage = scalars(r1_gamma_by_resolution={4: 3.0}, r2_gamma_by_resolution={4: 2.0, 8: 1.0})
    assert by_stage == scalars(r1_gamma=3.0, r2_gamma=2.0)
    assert by_stage != scalars(r1_gamma=3.0, r2_gamma=1.0)


def test_a_stage_without_the_penalty_of_others_trains_as_if_there_were_none(one_device, eager):
    def after(**loss):
        loss = LossConfig(loss="logistic", **loss)
        return stepped(one_device, dataclasses.replace(tiny_config(), loss=loss))[1:]

    networks, scalars = after(r1_gamma_by_resolution={4: 0.0}, penalty_interval=4)
    expected_networks, expected_scalars = after(r1_gamma=0.0)
    assert scalars == expected_scalars
    assert "loss/gradient_penalty" not in scalars
    for name, value in networks["d"].items():
        np.testing.assert_array_equal(value, expected_networks["d"][name])


def test_a_lazy_penalty_that_is_not_finite_skips_its_update_alone(one_device, eager, monkeypatch):
    def bad(*args, **kwargs):
        gradients, scalars = penalty_gradients(*args, **kwargs)
        return [gradients[0] * np.nan, *gradients[1:]], scalars

    monkeypatch.setattr("pgan_tf.step.iteration.penalty_gradients", bad)
    loss = LossConfig(loss="rpgan", penalty_interval=4)
    before, after, scalars = stepped(one_device, dataclasses.replace(tiny_config(), loss=loss))
    assert scalars["updates/discriminator_skipped"] == 1.0
    name = "4x4_conv/kernel"
    assert (after["d"][name] != before["d"][name]).any()
    assert np.isfinite(after["d"][name]).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_frozen_layers_of_the_discriminator_keep_every_bit(one_device, eager, count):
    config = tiny_config()
    config = dataclasses.replace(
        config,
        optimizer=OptimizerConfig(freeze_discriminator=count),
        network=dataclasses.replace(config.network, resolution=16),
        schedule=ScheduleConfig(start_resolution=16),
        run=dataclasses.replace(config.run, init_from="another"),
        loss=LossConfig(loss="rpgan", penalty_interval=2),
    )
    state = TrainState(config, one_device)
    before = arrays(state.discriminator)
    train_step = TrainStep(state, config, one_device, resolution=16, fading=False)
    train_step(step_inputs(images=np.zeros([8, 3, 16, 16], np.uint8)))
    changed = {
        int(name.split("x")[0].split("_")[-1])
        for name, value in arrays(state.discriminator).items()
        if (value != before[name]).any()
    }
    assert changed == {4, 8, 16} - set([16, 8][:count])


def test_gradient_norms_are_taken_at_the_final_resolution_or_the_stages(one_device, eager):
    norms = {}
    for resolution in ("final", "stage"):
        loss = LossConfig(gradient_penalty_resolution=resolution)
        _, _, scalars = stepped(one_device, dataclasses.replace(tiny_config(), loss=loss))
        norms[resolution] = scalars["loss/gradient_norm"]
    # Of 8x8 networks at 4x4.
    assert norms["final"] == pytest.approx(norms["stage"] * 4 / 8, rel=1e-5)
    assert norms["stage"] > 0
