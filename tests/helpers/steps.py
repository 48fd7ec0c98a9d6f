"""Inputs of training steps, and records of what they compute."""

import numpy as np
import tensorflow as tf

from pgan_tf.step.gradients import (
    discriminator_gradients,
    generator_gradients,
    penalty_gradients,
)
from pgan_tf.step.inputs import IterationInputs, StepInputs


def step_inputs(
    batch=8,
    *,
    images_seen=0,
    label_size=0,
    channels=3,
    strategy=None,
    images=None,
    stop_flags=(),
    scored=0,
    size=(8, 8),
    bits=8,
):
    """Return inputs of one iteration, of images drawn from `images_seen` unless given."""
    rng = np.random.default_rng(images_seen)
    if images is None:
        images = rng.integers(0, 2**bits, [batch, channels, *size]).astype(f"u{bits // 8}")
    validation = rng.integers(0, 256, [scored, channels, 8, 8]).astype(np.uint8)
    classes = np.arange(batch) % max(label_size, 1)
    one_hot = np.eye(max(label_size, 1), label_size, dtype=np.float32)
    labels, fake_labels = one_hot[classes], one_hot[classes[::-1]]

    def split(array, replicas=None):
        if strategy is None:
            return tf.constant(array[np.newaxis])
        replicas = replicas or strategy.num_replicas_in_sync
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                array[np.newaxis, context.replica_id_in_sync_group % replicas :: replicas]
            )
        )

    iterations = IterationInputs(
        images=split(images),
        labels=split(labels),
        fake_labels=split(fake_labels),
        alpha=tf.constant([0.5]),
        learning_rate=tf.constant([0.01]),
        images_seen=tf.constant([images_seen], tf.int64),
        noise_seed=tf.constant(1, tf.int64),
        stop_flags=tf.constant(stop_flags, tf.float32),
        validation_images=split(validation, replicas=1) if scored else None,
    )
    return StepInputs(iterations, count=tf.constant(1))


def arrays(network):
    """Return a network's variables as arrays by name."""
    return {path: variable.numpy() for path, variable in network.variables.items()}


def record_gradients(monkeypatch):
    """Record the gradients of each iteration that runs eagerly, by network and variable."""
    recorded = {}

    def spy(name, function):
        def wrapped(generator, discriminator, variables, *args, **kwargs):
            gradients, scalars = function(generator, discriminator, variables, *args, **kwargs)
            recorded[name] = {v.path: g.numpy() for v, g in zip(variables, gradients, strict=True)}
            return gradients, scalars

        return wrapped

    for name, function in (
        ("discriminator", discriminator_gradients),
        ("generator", generator_gradients),
        ("penalty", penalty_gradients),
    ):
        monkeypatch.setattr(f"pgan_tf.step.iteration.{name}_gradients", spy(name, function))
    return recorded
