import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.step.loss_scale import (
    GROWTH_INTERVAL,
    INITIAL_SCALE,
    MIN_SCALE,
    DynamicLossScale,
    NoLossScale,
)
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow


def test_gradients_are_those_of_the_loss_itself():
    for scale in (DynamicLossScale("test"), NoLossScale()):
        x = tf.constant(3.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = scale.scale(x**2)
        assert scale.unscale([tape.gradient(loss, x)])[0].numpy() == 6.0


def test_overflow_halves_the_scale_and_a_long_time_without_doubles_it():
    scale = DynamicLossScale("test")
    scale.update(tf.constant(False))
    assert scale.value.numpy() == INITIAL_SCALE / 2
    for _ in range(GROWTH_INTERVAL - 1):
        scale.update(tf.constant(True))
    assert scale.value.numpy() == INITIAL_SCALE / 2
    scale.update(tf.constant(True))
    assert scale.value.numpy() == INITIAL_SCALE
    scale.update(tf.constant(True))
    assert scale.value.numpy() == INITIAL_SCALE


def test_the_scale_stays_in_its_range():
    scale = DynamicLossScale("test")
    for _ in range(40):
        scale.update(tf.constant(False))
    assert scale.value.numpy() == MIN_SCALE


def test_only_float16_has_a_scale_and_checkpoints_hold_it(one_device):
    names = {
        precision: set(TrainState(tiny_config(precision=precision), one_device).variables())
        for precision in ("float32", "mixed_bfloat16", "mixed_float16")
    }
    assert names["float32"] == names["mixed_bfloat16"]
    assert names["mixed_float16"] - names["float32"] == {
        f"{network}_loss/{name}"
        for network in ("generator", "discriminator")
        for name in ("scale", "finite_updates")
    }


def test_float16_learns_what_float32_learns(one_device):
    gradients, found = {}, {}
    for precision in ("float32", "mixed_float16"):
        config = tiny_config(precision=precision, label_size=2)
        state = TrainState(config, one_device)
        for loss_scale in (state.generator_loss_scale, state.discriminator_loss_scale):
            for variable in loss_scale.variables[:1]:
                variable.assign(256.0)  # where it would have fallen to
        before = arrays(state.generator)
        train_step = TrainStep(state, config, one_device, resolution=8, fading=True)
        scalars = train_step(step_inputs(label_size=2)).last_scalars
        assert float(scalars["updates/generator_skipped"]) == 0.0
        found[precision] = {name: float(value) for name, value in scalars.items()}
        # With beta1 0 the first moments are the last gradients.
        gradients[precision] = np.concatenate(
            [
                variable.numpy().ravel()
                for path, variable in state.variables().items()
                if "adam" in path and "momentum" in path
            ]
        )
        assert any((arrays(state.generator)[name] != before[name]).any() for name in before)
    for name, value in found["float32"].items():
        assert found["mixed_float16"][name] == pytest.approx(value, rel=0.02, abs=0.01), name
    error = np.linalg.norm(gradients["mixed_float16"] - gradients["float32"])
    assert error < 0.02 * np.linalg.norm(gradients["float32"])


def test_overflow_on_one_replica_lowers_the_scale_of_both(two_replicas):
    config = tiny_config(precision="mixed_float16")
    state = TrainState(config, two_replicas)
    before = arrays(state.discriminator)
    # One replica's scale is beyond float16, so that its gradients alone are not finite.
    scale, _ = state.discriminator_loss_scale.variables
    two_replicas.experimental_local_results(scale)[1].assign(2.0**60)
    train_step = TrainStep(state, config, two_replicas, resolution=8, fading=False)
    scalars = train_step(step_inputs(16, strategy=two_replicas)).last_scalars
    assert float(scalars["updates/discriminator_skipped"]) == 1.0
    assert float(scalars["updates/generator_skipped"]) == 0.0
    for name, value in arrays(state.discriminator).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    first, second = two_replicas.experimental_local_results(scale)
    assert first.numpy() == INITIAL_SCALE / 2
    assert second.numpy() < 2.0**60
