"""Two replicas learn what one learns; for several processes, see integration/test_workers.py."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import AugmentConfig, DataConfig, LossConfig, OptimizerConfig
from pgan_tf.distribution.strategy import sample_offset
from pgan_tf.step.noise import normal
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow

# bfloat16 has 8 bits of precision, and sums in another order round otherwise.
TOLERANCE = {"float32": 2e-6, "mixed_bfloat16": 2e-2}


def take_step(strategy, config, *, label_size=0):
    """Return the state after an iteration, its mean gradients and its scalars."""
    state = TrainState(config, strategy)
    train_step = TrainStep(state, config, strategy, resolution=8, fading=True)
    chosen = strategy if strategy.num_replicas_in_sync > 1 else None
    network = config.network
    inputs = step_inputs(
        16,
        strategy=chosen,
        label_size=label_size,
        channels=network.channels,
        size=network.image_size(8),
        bits=network.bits,
    )
    scalars = train_step(inputs).last_scalars
    # With beta1 = 0, Adam's first moments are the gradients.
    gradients = {
        f"{network} {path}": optimizer._momentums[optimizer._get_variable_index(variable)].numpy()
        for network, optimizer in (
            ("generator", state.generator_optimizer),
            ("discriminator", state.discriminator_optimizer),
        )
        for path, variable in getattr(state, network).trainable_variables.items()
    }
    return state, gradients, scalars


def with_pairs(config):
    """Return a configuration whose generator step compares fakes with reals."""
    return dataclasses.replace(config, loss=LossConfig(loss="rpgan"))


def with_lazy_penalty(config):
    """Return a configuration whose discriminator is updated twice a step."""
    loss = LossConfig(loss="logistic", penalty_interval=2)
    return dataclasses.replace(config, loss=loss)


def with_noise(config):
    """Return a configuration that draws more noise, in another order, than the plain step."""
    return dataclasses.replace(
        config,
        data=DataConfig(mirror_augment=True, dequantize=True),
        loss=LossConfig(loss="logistic"),
        optimizer=OptimizerConfig(simultaneous_updates=True, ema_half_life_kimg=0.016),
    )


def with_rectangles(config):
    """Return a configuration for rectangles with alpha, augmented."""
    network = dataclasses.replace(config.network, base=Base(4, 6), channels=4)
    augment = AugmentConfig(augment="fixed", augment_p=0.5)
    return dataclasses.replace(config, network=network, augment=augment)


def with_16_bits(config):
    """Return a configuration for tall grayscale images of 16 bits."""
    network = dataclasses.replace(config.network, base=Base(5, 4), channels=1, bits=16)
    return dataclasses.replace(config, network=network, loss=LossConfig(loss="logistic"))


@pytest.mark.parametrize(
    ("precision", "options", "jit_compile"),
    [
        ("float32", None, "off"),
        ("float32", with_noise, "off"),
        ("float32", with_pairs, "off"),
        ("float32", with_rectangles, "off"),
        ("float32", with_16_bits, "off"),
        ("float32", None, "on"),
        ("float32", with_pairs, "on"),
        ("float32", with_lazy_penalty, "off"),
        ("float32", with_lazy_penalty, "on"),
        ("mixed_bfloat16", None, "off"),
    ],
)
def test_two_replicas_make_the_step_of_one(
    one_device, two_replicas, precision, options, jit_compile
):
    # Both through the whole step: the same images, latents and mixing factors, dealt out.
    config = tiny_config(label_size=2, precision=precision, jit_compile=jit_compile)
    config = options(config) if options else config
    one, one_gradients, one_scalars = take_step(one_device, config, label_size=2)
    two, two_gradients, two_scalars = take_step(two_replicas, config, label_size=2)
    tolerance = TOLERANCE[precision]
    assert len(one_gradients) == len(two_gradients) > 20
    for name, gradient in one_gradients.items():
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(
            two_gradients[name], gradient, atol=tolerance * scale, err_msg=name
        )
    for name, value in one_scalars.items():
        np.testing.assert_allclose(
            two_scalars[name], value, rtol=10 * tolerance, atol=tolerance, err_msg=name
        )
    if precision == "float32":
        # Adam's first update is the learning rate times a sign, so where a gradient is all
        # rounding it may go either way: hence no weights whose gradient is next to nothing.
        for network in ("generator", "discriminator"):
            expected = arrays(getattr(one, network))
            for name, value in arrays(getattr(two, network)).items():
                gradient = one_gradients.get(f"{network} {name}")
                clear = True if gradient is None else np.abs(gradient) > 1e-5
                difference = np.where(clear, value - expected[name], 0.0)
                np.testing.assert_allclose(difference, 0.0, atol=1e-5, err_msg=name)


def test_replicas_are_bit_equal_after_fifty_steps(two_replicas):
    config = tiny_config()
    state = TrainState(config, two_replicas)
    train_step = TrainStep(state, config, two_replicas, resolution=8, fading=True)
    for i in range(50):
        result = train_step(step_inputs(16, images_seen=16 * i, strategy=two_replicas))
    assert np.isfinite(result.last_scalars["loss/discriminator"])
    counters = ("images_seen", "phase_index", "rollbacks")
    for name, variable in state.variables().items():
        if name not in counters:
            first, second = two_replicas.experimental_local_results(variable)
            assert first.numpy().tobytes() == second.numpy().tobytes(), name
    assert int(state.generator_optimizer.iterations.numpy()) == 50


def test_replicas_stay_bit_equal_with_several_discriminator_steps(two_replicas):
    config = tiny_config()
    optimizer = OptimizerConfig(discriminator_steps=3, ema_update="generator_step")
    config = dataclasses.replace(config, optimizer=optimizer)
    state = TrainState(config, two_replicas)
    images = np.random.default_rng(0).integers(0, 256, [16, 3, 4, 4]).astype(np.uint8)
    steps = {
        kind: TrainStep(state, config, two_replicas, resolution=4, fading=False, kind=kind)
        for kind in set(config.step_kinds)
    }
    for i in range(6):
        given = step_inputs(16, images_seen=16 * i, strategy=two_replicas, images=images)
        steps[config.step_kind(i)](given)
    for network in (state.generator, state.discriminator, state.ema_generator):
        for name, variable in network.variables.items():
            first, second = two_replicas.experimental_local_results(variable.value)
            assert first.numpy().tobytes() == second.numpy().tobytes(), name
    assert int(state.generator_optimizer.iterations.numpy()) == 2
    assert int(state.discriminator_optimizer.iterations.numpy()) == 6


def test_replicas_draw_different_noise_that_is_the_global_batchs(two_replicas):
    seed = tf.constant([1, 2], tf.int64)

    @tf.function(autograph=False)
    def draw():
        return two_replicas.run(lambda: normal([4, 8], seed))

    first, second = two_replicas.experimental_local_results(draw())
    assert not np.allclose(first, second)
    whole = normal([8, 8], seed).numpy()
    np.testing.assert_array_equal(whole[0::2], first)
    np.testing.assert_array_equal(whole[1::2], second)


def test_a_bad_gradient_on_one_replica_skips_the_update_on_both(two_replicas):
    config = tiny_config()
    state = TrainState(config, two_replicas)
    before = arrays(state.discriminator)
    # One replica's copy of a bias is damaged, as a hardware fault would.
    bias = state.discriminator.variables["4x4_dense1/bias"].value
    two_replicas.experimental_local_results(bias)[1].assign([np.nan])
    train_step = TrainStep(state, config, two_replicas, resolution=8, fading=False)
    scalars = train_step(step_inputs(16, strategy=two_replicas)).last_scalars
    assert float(scalars["updates/discriminator_skipped"]) == 1.0
    for name, value in arrays(state.discriminator).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_stop_flags_are_summed_over_replicas(two_replicas):
    config = tiny_config()
    state = TrainState(config, two_replicas)
    train_step = TrainStep(state, config, two_replicas, resolution=8, fading=False)
    result = train_step(step_inputs(16, strategy=two_replicas, stop_flags=(0.0, 1.0)))
    np.testing.assert_array_equal(result.stop_flags, [0.0, 2.0])


class FakeStrategy:
    """A number of workers with a number of replicas each."""

    def __init__(self, workers, local):
        self.num_replicas_in_sync = workers * local
        self.extended = self
        self.worker_devices = ("/CPU:0",) * local


@pytest.mark.parametrize(("workers", "local"), [(1, 1), (1, 4), (3, 1), (2, 2), (3, 4)])
def test_every_worker_holds_the_samples_of_its_replicas(workers, local):
    strategy = FakeStrategy(workers, local)
    replicas = workers * local
    samples = np.arange(2 * replicas)
    offsets = []
    for worker in range(workers):
        here = samples[worker::workers]  # what a Shard reads
        for replica in range(local):
            offset = sample_offset(strategy, worker * local + replica)
            offsets.append(offset)
            np.testing.assert_array_equal(here[replica::local], samples[offset::replicas])
    assert sorted(offsets) == list(range(replicas))
