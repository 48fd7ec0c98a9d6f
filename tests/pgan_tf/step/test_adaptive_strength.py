"""ADA's strength: its rule, and that replicas, checkpoints and compilation leave it as it is."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import AugmentConfig, LossConfig
from pgan_tf.config.loss import LOSSES
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.step.adaptive_strength import AdaptiveStrength
from pgan_tf.step.adversarial import adversarial_loss
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import step_inputs
from tests.helpers.tiny import tiny_config

# Four iterations of 16 images move p by 0.064.
ADA = AugmentConfig(augment="ada", augment_pipe="bc", augment_kimg=1, augment_target=-0.5)


def values(signs, **given):
    strength = AdaptiveStrength(dataclasses.replace(ADA, augment_target=0.6, **given))
    found = []
    for sign in signs:
        strength.update(tf.constant(sign), batch_size=16)
        found.append(float(strength.value()))
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


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_with_signs_are_those_that_ada_is_allowed_for(loss):
    config = LossConfig(loss=loss)
    gammas = config.with_gammas(8, final_resolution=8, batch_size=16)
    assert config.has_signs == (adversarial_loss(gammas).logits is not None)


def config_of(loss="logistic", **run):
    return dataclasses.replace(tiny_config(**run), augment=ADA, loss=LossConfig(loss=loss))


def take(steps, state, config, strategy, start=0, resolution=8):
    step = TrainStep(state, config, strategy, resolution=resolution, fading=False)
    replicas = strategy.num_replicas_in_sync
    found = []
    for number in range(start, start + steps):
        inputs = step_inputs(
            16, images_seen=16 * number, strategy=strategy if replicas > 1 else None
        )
        scalars = step(inputs).last_scalars
        found.append((scalars["scores/real_sign"], scalars["augment/p"]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["logistic", "rpgan"])
def test_replicas_and_compilation_adapt_alike(one_device, two_replicas, loss):
    found = []
    for strategy, jit_compile in ((one_device, "off"), (two_replicas, "off"), (two_replicas, "on")):
        config = config_of(loss, jit_compile=jit_compile)
        found.append(take(5, TrainState(config, strategy), config, strategy))
    plain, *others = found
    signal = sum(sign for sign, _ in plain[:4]) / 4
    assert plain[-1][1] == pytest.approx(0.064 if signal > -0.5 else 0.0)
    for other in others:
        np.testing.assert_allclose(other, plain, atol=1e-4)


@pytest.mark.slow
def test_a_continued_run_adapts_as_one_that_was_not_interrupted(one_device, tmp_path):
    config = config_of()
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
