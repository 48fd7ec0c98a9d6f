"""ADA's strength: its rule, and that replicas, checkpoints and compilation leave it as it is."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import AugmentConfig, DataConfig, LossConfig
from pgan_tf.config.loss import LOSSES
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.step.adaptive_strength import AdaptiveStrength, validation_signal
from pgan_tf.step.adversarial import adversarial_loss
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import step_inputs
from tests.helpers.tiny import tiny_config

# Four iterations of 16 images move p by 0.064.
ADA = AugmentConfig(augment="ada", augment_pipe="b", augment_kimg=1, augment_target=-0.5)


def values(signs, **given):
    strength = AdaptiveStrength(dataclasses.replace(ADA, augment_target=0.6, **given), "r_t")
    found = []
    for sign in signs:
        strength.update({"scores/real_sign": tf.constant(sign)}, batch_size=16)
        found.append(float(strength.value()))
    return found


def followed(scores, **given):
    """Return p and r_v after each iteration, from scores of reals, held-out images and fakes."""
    config = dataclasses.replace(ADA, augment_target=None, **given)
    strength = AdaptiveStrength(config, "r_v")
    found = []
    for iteration in scores:
        scalars = dict(zip(strength.follows, map(tf.constant, iteration), strict=True))
        signal = strength.update(scalars, batch_size=16)
        found.append((float(strength.value()), float(signal["augment/r_v"])))
    return found


def test_p_moves_every_fourth_iteration_by_the_mean_sign():
    found = values([1.0] * 4 + [0.5, 0.5, 0.5, 1.0] + [0.0] * 4)
    assert found == pytest.approx([0, 0, 0] + [0.064] * 4 + [0.128] * 4 + [0.064])


def test_p_stays_between_0_and_1():
    assert values([-1.0] * 8)[-1] == 0
    assert values([1.0] * 4 * 17)[-1] == 1


def test_p_goes_from_0_to_1_in_the_given_time():
    found = values([1.0] * 500, augment_kimg=8)
    assert found[-2] < 1
    assert found[-1] == pytest.approx(1, abs=1e-4)


def test_scores_that_are_not_finite_are_left_out():
    found = values([1.0, float("nan"), 1.0, float("inf"), 1.0, 1.0])
    assert found == pytest.approx([0] * 5 + [0.064])


def test_r_v_is_of_the_mean_scores_of_four_iterations(rng):
    scores = rng.normal([2.0, 0.2, -1.0], 0.1, size=[16, 3]).astype(np.float32)
    p, expected = 0.0, []
    for index in range(16):
        first = index // 4 * 4
        reals, held_out, fakes = scores[first : index + 1].astype(np.float64).mean(axis=0)
        signal = (reals - held_out) / (reals - fakes)
        if index % 4 == 3:
            p += 0.064 if signal > 0.5 else -0.064
        expected.append((max(p, 0.0), signal))
    np.testing.assert_allclose(followed(scores), expected, rtol=1e-5)
    assert p == pytest.approx(0.256)


@pytest.mark.parametrize(
    ("scores", "signal"),
    [
        ((1.0, 1.0, -1.0), 0.0),  # held-out images as reals
        ((1.0, -1.0, -1.0), 1.0),  # held-out images as fakes
        ((1.0, 3.0, -1.0), -1.0),
        ((1.0, -9.0, -1.0), 1.0),
        ((-500.0, -501.0, -504.0), 0.25),  # scores have no zero
        # Reals are not told from fakes: nothing is known by heart.
        ((1.0, 0.0, 1.0), 0.0),
        ((1.0, 0.0, 2.0), 0.0),
        ((500.0, 499.0, 499.9999), 0.0),
        ((0.0, 0.0, 0.0), 0.0),
        ((3e38, 0.0, -3e38), 0.0),  # their distance overflows
    ],
)
def test_r_v_has_a_value_whatever_the_scores(scores, signal):
    found = validation_signal(*map(tf.constant, scores))
    assert float(found) == pytest.approx(signal, abs=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("which", range(3))
def test_an_iteration_with_a_score_that_is_not_finite_changes_nothing(bad, which):
    good, broken = [1.0, -0.5, -1.0], [1.0, -0.5, -1.0]
    broken[which] = bad
    found = followed([good, broken, good, broken, broken, good, good])
    assert [p for p, _ in found] == pytest.approx([0] * 6 + [0.064])
    assert [signal for _, signal in found] == pytest.approx([0.75] * 7)


@pytest.mark.parametrize(
    ("signal", "given", "target"),
    [("r_t", None, 0.6), ("r_v", None, 0.5), ("r_t", 0.4, 0.4), ("r_v", 0.4, 0.4)],
)
def test_each_signal_has_a_target_of_its_own(signal, given, target):
    assert AugmentConfig(augment="ada", augment_target=given).target_of(signal) == target


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_with_signs_are_those_that_ada_is_allowed_for(loss):
    config = LossConfig(loss=loss)
    gammas = config.with_gammas(8, final_resolution=8, batch_size=16)
    assert config.has_signs == (adversarial_loss(gammas).logits is not None)


def config_of(loss="logistic", *, data=None, channels=3, label_size=0, **run):
    config = tiny_config(channels=channels, label_size=label_size, **run)
    data = data or config.data
    return dataclasses.replace(config, augment=ADA, loss=LossConfig(loss=loss), data=data)


def take(steps, state, config, strategy, start=0, resolution=8, batch=16):
    step = TrainStep(state, config, strategy, resolution=resolution, fading=False)
    replicas = strategy.num_replicas_in_sync
    found = []
    for number in range(start, start + steps):
        inputs = step_inputs(
            batch,
            images_seen=batch * number,
            channels=config.network.channels,
            label_size=config.network.label_size,
            strategy=strategy if replicas > 1 else None,
            scored=config.validation_batch(batch, replicas=replicas).size,
        )
        scalars = step(inputs).last_scalars
        found.append([scalars[name] for name in signal_names(config)] + [scalars["augment/p"]])
    return found


def signal_names(config):
    if config.follows_validation:
        return ["scores/real", "scores/validation", "scores/fake", "augment/r_v"]
    return ["scores/real_sign", "augment/r_t"]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["logistic", "rpgan"])
def test_replicas_and_compilation_adapt_alike(one_device, two_replicas, loss):
    found = []
    for strategy, jit_compile in ((one_device, "off"), (two_replicas, "off"), (two_replicas, "on")):
        config = config_of(loss, jit_compile=jit_compile)
        found.append(take(5, TrainState(config, strategy), config, strategy))
    plain, *others = found
    signal = sum(sign for sign, *_ in plain[:4]) / 4
    assert plain[3][1] == pytest.approx(signal, abs=1e-6)
    assert plain[-1][-1] == pytest.approx(0.064 if signal > -0.5 else 0.0)
    for other in others:
        np.testing.assert_allclose(other, plain, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [32, 16])
def test_replicas_compilation_and_microbatches_follow_held_out_images_alike(
    one_device, two_replicas, batch
):
    data = DataConfig(validation_images=8, mirror_augment=True, dequantize=True)
    options, others = {}, [(two_replicas, {}), (one_device, {"jit_compile": "on"})]
    if batch == 32:  # two groups of minibatch stddev: with 16 there is one, of both replicas
        options = {"label_size": 2, "channels": 1}
        others = [(one_device, {"microbatches": 2}), (two_replicas, {"jit_compile": "on"})]
    found = []
    for strategy, run in ((one_device, {}), *others):
        config = config_of("wgan_gp", data=data, **{"jit_compile": "off", **run}, **options)
        found.append(take(5, TrainState(config, strategy), config, strategy, batch=batch))
    plain, *others = found
    reals, held_out, fakes = np.mean([row[:3] for row in plain[:4]], axis=0, dtype=np.float32)
    assert plain[3][3] == pytest.approx(float(validation_signal(reals, held_out, fakes)), abs=1e-3)
    assert plain[3][4] == pytest.approx(0.004 * batch if plain[3][3] > -0.5 else 0.0)
    assert abs(held_out - reals) > 1e-4
    for other in others:
        np.testing.assert_allclose(other, plain, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["logistic", "wgan_gp"])
def test_a_continued_run_adapts_as_one_that_was_not_interrupted(one_device, tmp_path, loss):
    config = config_of(loss, data=DataConfig(validation_images=4))
    whole = take(9, TrainState(config, one_device), config, one_device)
    state = TrainState(config, one_device)
    first = take(6, state, config, one_device)
    Checkpoints(tmp_path, state, keep=1).save()
    restored = TrainState(config, one_device)
    assert Checkpoints(tmp_path, restored, keep=1).restore()
    restored.enter_phase(1, reset_optimizers=False)
    assert first + take(3, restored, config, one_device, start=6) == whole


def test_states_without_ada_have_its_variables_not(one_device):
    names = {"augment_p", "augment_signs"}
    plain = TrainState(tiny_config(), one_device)
    assert not names & plain.variables().keys()
    state = TrainState(config_of(), one_device)
    assert names <= state.variables().keys()
    state.variables()["augment_p"].assign(0.3)
    state.enter_phase(1, reset_optimizers=True)
    assert float(state.augmentation.value()) == pytest.approx(0.3)
