import dataclasses
import types

import numpy as np
import tensorflow as tf

from pgan_tf.config import ScheduleConfig
from pgan_tf.config.phases import Schedule
from pgan_tf.data.batches import Batch
from pgan_tf.data.memory.buffers import Buffers
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.training.feeding import to_replicas

STEP = next(Schedule(ScheduleConfig(total_kimg=1.0), 4).steps())
STATE = types.SimpleNamespace(noise_seed=(3 << 31) + 5)


def make_batch(images):
    labels = np.eye(len(images), 3, dtype=np.float32)
    return Batch(images, labels, labels[::-1].copy())


def test_inputs_hold_everything_that_changes_between_calls():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), np.uint8)
    batch = make_batch(images)
    step = dataclasses.replace(STEP, images_seen=12345678901, alpha=0.25)
    strategy = make_strategy("one_device")
    inputs = to_replicas(strategy, STATE, [(step, batch)], stop_flags=[1.0, 0.0]).iterations
    np.testing.assert_array_equal(inputs.images[0], images)
    np.testing.assert_array_equal(inputs.labels[0], batch.labels)
    np.testing.assert_array_equal(inputs.fake_labels[0], batch.fake_labels)
    assert (int(inputs.images_seen[0]), float(inputs.alpha[0])) == (12345678901, 0.25)
    assert int(inputs.noise_seed) == (3 << 31) + 5
    assert float(inputs.learning_rate[0]) == np.float32(STEP.phase.learning_rate)
    assert inputs.stop_flags.numpy().tolist() == [1.0, 0.0]
    assert [t.dtype for t in (inputs.images, inputs.images_seen)] == [tf.uint8, tf.int64]


def test_memory_that_is_used_again_does_not_change_a_steps_images():
    buffers = Buffers()
    images = buffers.empty((2, 3, 256, 256))
    images[...] = 1
    inputs = to_replicas(make_strategy("one_device"), STATE, [(STEP, make_batch(images))])
    del images
    buffers.empty((2, 3, 256, 256))[...] = 9
    assert (inputs.iterations.images.numpy() == 1).all()


def test_replicas_are_dealt_the_images_in_turn():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 256, 256), np.uint8)
    strategy = make_strategy("mirrored", logical_cpus=2)
    inputs = to_replicas(strategy, STATE, [(STEP, make_batch(images))])
    for number, samples in enumerate(strategy.experimental_local_results(inputs.iterations.images)):
        np.testing.assert_array_equal(samples[0], images[number::2])
        assert samples.device.endswith(f"CPU:{number}")


def test_the_batches_of_a_call_are_stacked_and_the_last_fills_it_up():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 8, 8), np.uint8)
    steps = [STEP, dataclasses.replace(STEP, images_seen=4, alpha=0.5, learning_rate=0.25)]
    call = [(step, make_batch(some)) for step, some in zip(steps, images, strict=True)]
    strategy = make_strategy("mirrored", logical_cpus=2)
    inputs = to_replicas(strategy, STATE, call, steps_per_call=3)
    for number, samples in enumerate(strategy.experimental_local_results(inputs.iterations.images)):
        np.testing.assert_array_equal(samples, images[[0, 1, 1], number::2])
    assert int(inputs.count) == 2
    assert inputs.iterations.images_seen.numpy().tolist() == [0, 4, 4]
    assert inputs.iterations.alpha.numpy().tolist() == [1.0, 0.5, 0.5]
    assert inputs.iterations.learning_rate.numpy().tolist()[1:] == [0.25, 0.25]


def test_every_replica_is_given_all_images_to_score():
    images, scored = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 8, 8), np.uint8)
    strategy = make_strategy("mirrored", logical_cpus=2)
    batch = make_batch(images)._replace(validation_images=scored)
    inputs = to_replicas(strategy, STATE, [(STEP, batch)], steps_per_call=2).iterations
    for number, samples in enumerate(strategy.experimental_local_results(inputs.validation_images)):
        np.testing.assert_array_equal(samples, np.stack([scored] * 2))
        assert samples.device.endswith(f"CPU:{number}")
    inputs = to_replicas(strategy, STATE, [(STEP, make_batch(images))]).iterations
    assert inputs.validation_images is None
