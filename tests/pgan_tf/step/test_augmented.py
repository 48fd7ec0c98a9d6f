"""Augmentation in a step: what goes through T, with which noise, on any number of replicas."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.augmentation.pipeline import make_pipeline
from pgan_tf.config import AugmentConfig
from pgan_tf.networks.discriminator import DiscriminatorOutput
from pgan_tf.step import microbatches
from pgan_tf.step.augmented import augmentation_noise, augmented, fixed_strength
from pgan_tf.step.gradients import discriminator_gradients
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config

FIXED = AugmentConfig(augment="fixed", augment_p=0.9)
SEED = tf.constant([1, 2], tf.int64)


def test_the_discriminator_sees_each_minibatch_through_a_t_of_its_own(rng):
    pipeline = make_pipeline(FIXED, resolution=8, image_shape=(8, 8, 3), is_compiled=False)
    noise = augmentation_noise(pipeline, 4, SEED, num_minibatches=2)
    reals, fakes = (tf.constant(rng.normal(size=[4, 8, 8, 3]), tf.float32) for _ in range(2))
    strength = tf.constant(0.9)

    def see(images, *, num_minibatches=1):
        return images, num_minibatches

    def compute(discriminator, *, reals, fakes):
        both = discriminator(tf.concat([reals, fakes], axis=0), num_minibatches=2)
        return both, discriminator(reals)

    (both, two), (points, one) = augmented(compute, see, pipeline, strength)(
        noise=noise, reals=reals, fakes=fakes
    )
    assert (two, one) == (2, 1)
    np.testing.assert_allclose(both[:4], pipeline(reals, noise[:, 0], strength), atol=1e-4)
    np.testing.assert_allclose(both[4:], pipeline(fakes, noise[:, 1], strength), atol=1e-4)
    np.testing.assert_allclose(points, both[:4], atol=1e-4)
    assert np.abs(noise[:, 0] - noise[:, 1]).max() > 0


def test_a_penalty_is_of_the_gradient_through_t(rng):
    """With D(x) = sum(w x) and T(x) = A x + b, the gradient is A^T w."""
    pipeline = make_pipeline(FIXED, resolution=8, image_shape=(8, 8, 1), is_compiled=False)
    noise = augmentation_noise(pipeline, 2, SEED, num_minibatches=2)
    weights = tf.constant(rng.normal(size=[8, 8, 1]), tf.float32)
    reals = tf.constant(rng.normal(size=[2, 8, 8, 1]), tf.float32)

    def discriminator(images, *, num_minibatches=1):
        return DiscriminatorOutput(tf.reduce_sum(images * weights, axis=[1, 2, 3]), None)

    def compute(discriminator, **batch):
        return discriminator_gradients(
            lambda latents, labels: reals,
            discriminator,
            [],
            tiny_config().loss,
            norm_scale=1.0,
            labels=None,
            latents=tf.zeros([2, 4]),
            mixing=tf.zeros([2, 1, 1, 1]),
            **batch,
        )

    _, scalars = augmented(compute, discriminator, pipeline, tf.constant(0.9))(
        noise=noise, reals=reals
    )
    units = tf.reshape(tf.eye(64), [64, 8, 8, 1])
    norms = []
    for own in noise[:, 0]:
        repeated = tf.repeat(own[tf.newaxis], 64, axis=0)
        scores, origin = (
            discriminator(pipeline(images, repeated, tf.constant(0.9))).scores
            for images in (units, tf.zeros_like(units))
        )
        norms.append(np.linalg.norm(scores - origin))
    assert float(scalars["loss/gradient_norm"]) == pytest.approx(np.mean(norms), rel=1e-3)


@pytest.mark.parametrize(
    ("ramp", "images_seen", "strength"),
    [(0, 0, 0.8), (2, 0, 0.0), (2, 500, 0.2), (2, 2000, 0.8), (2, 10**9, 0.8)],
)
def test_a_fixed_strength_is_reached_by_a_ramp(ramp, images_seen, strength):
    config = AugmentConfig(augment="fixed", augment_p=0.8, augment_ramp_kimg=ramp)
    found = fixed_strength(config, tf.constant(images_seen, tf.int64))
    assert float(found) == pytest.approx(strength)


def learned(augment, strategy, *, simultaneous=False, label_size=0, steps=1, **run):
    """The networks' variables after some steps, and the scalars of the last."""
    config = dataclasses.replace(tiny_config(label_size=label_size, **run), augment=augment)
    optimizer = dataclasses.replace(config.optimizer, simultaneous_updates=simultaneous)
    config = dataclasses.replace(config, optimizer=optimizer)
    state = TrainState(config, strategy)
    step = TrainStep(state, config, strategy, resolution=8, fading=False)
    replicas = strategy.num_replicas_in_sync
    for seen in range(0, 16 * steps, 16):
        inputs = step_inputs(
            16,
            images_seen=seen,
            label_size=label_size,
            strategy=strategy if replicas > 1 else None,
        )
        scalars = step(inputs).last_scalars
    return {**arrays(state.generator), **arrays(state.discriminator)}, scalars


def check_equal(one, other, tolerance=1e-3):
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        assert other[1][name] == pytest.approx(value, rel=tolerance, abs=tolerance), name
    for name, value in one[0].items():
        np.testing.assert_allclose(other[0][name], value, atol=5e-4, err_msg=name)


@pytest.mark.slow
def test_at_strength_0_a_step_is_the_plain_one(one_device):
    plain = learned(AugmentConfig(), one_device)
    at_0 = learned(dataclasses.replace(FIXED, augment_p=0.0), one_device)
    assert at_0[1].pop("augment/p") == 0
    check_equal(plain, at_0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("augment", "simultaneous", "jit_compile"),
    [(FIXED, False, "on"), (AugmentConfig(augment="diffaugment"), True, "off")],
)
def test_replicas_compilation_and_microbatches_change_nothing(
    one_device, two_replicas, monkeypatch, augment, simultaneous, jit_compile
):
    plain = learned(augment, one_device, simultaneous=simultaneous, label_size=3)
    for strategy, run in (
        (two_replicas, {"jit_compile": jit_compile}),
        (one_device, {"microbatches": 2}),
    ):
        check_equal(
            plain, learned(augment, strategy, simultaneous=simultaneous, label_size=3, **run)
        )
    monkeypatch.setattr(microbatches, "core_count", lambda: 2)
    monkeypatch.setattr(microbatches, "one_thread_per_operation", lambda: True)
    check_equal(plain, learned(augment, one_device, simultaneous=simultaneous, label_size=3))


@pytest.mark.slow
def test_augmentation_changes_both_steps(one_device):
    _, plain = learned(AugmentConfig(), one_device, steps=1)
    for augment in (FIXED, AugmentConfig(augment="diffaugment")):
        _, scalars = learned(augment, one_device, steps=1)
        for name in ("scores/real", "scores/fake", "loss/gradient_norm", "loss/generator"):
            assert scalars[name] != pytest.approx(plain[name], abs=1e-5), name
