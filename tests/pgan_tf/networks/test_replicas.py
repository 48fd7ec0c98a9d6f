"""With batch norm, too, two replicas make the step of one."""

import dataclasses

import numpy as np
import pytest

from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import step_inputs
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow


def step(strategy, config):
    """Everything that changed in one step, by name, on each replica; and what the step told."""
    state = TrainState(config, strategy)
    train_step = TrainStep(state, config, strategy, resolution=8, fading=True)
    many = strategy.num_replicas_in_sync > 1
    result = train_step(step_inputs(16, strategy=strategy if many else None))
    copies = {
        name: [copy.numpy() for copy in strategy.experimental_local_results(variable)]
        for name, variable in state.variables().items()
    }
    return copies, {name: float(value) for name, value in result.last_scalars.items()}


def test_two_replicas_normalise_the_batch_of_one(one_device, two_replicas):
    config = tiny_config()
    norms = {"generator_norm": "batch", "discriminator_norm": "batch"}
    network = dataclasses.replace(config.network, **norms)
    config = dataclasses.replace(config, network=network)
    one, one_metrics = step(one_device, config)
    two, two_metrics = step(two_replicas, config)
    for name, value in one_metrics.items():
        np.testing.assert_allclose(two_metrics[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    gradients = 0
    for name, (first, *others) in two.items():
        for other in others:
            assert first.tobytes() == other.tobytes(), f"{name} differs between replicas"
        if "moving_" in name:
            np.testing.assert_allclose(first, one[name][0], rtol=1e-4, atol=1e-5, err_msg=name)
        if name.endswith("_momentum"):  # beta1 is 0, so it is the gradient of the step
            gradients += 1
            scale = max(1.0, np.abs(one[name][0]).max())
            np.testing.assert_allclose(first, one[name][0], atol=2e-5 * scale, err_msg=name)
    assert gradients > 20
    moved = {n.split("/")[0] for n in one if "moving_mean" in n and np.abs(one[n][0]).max() > 0}
    assert moved == {"generator", "discriminator", "generator_ema"}
