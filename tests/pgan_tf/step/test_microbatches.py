"""Microbatches: the numbers of the whole batch; only independent ones, and on few cores."""

import dataclasses
import functools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import EvalConfig, LossConfig, NetworkConfig, ScheduleConfig, TrainConfig
from pgan_tf.config.run import RunConfig
from pgan_tf.evaluation.replicated_generator import ReplicatedGenerator
from pgan_tf.layers import MinibatchStdDev
from pgan_tf.runs.grids import to_uint8
from pgan_tf.step import microbatches
from pgan_tf.step.gradients import generator_gradients
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from tests.helpers.steps import arrays, step_inputs
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow


TINY = {"fmap_base": 128, "fmap_max": 8, "channels": 3}


@pytest.fixture
def two_cores(monkeypatch):
    """Two cores, after `set_up_threads` has given each operation one thread."""
    monkeypatch.setattr(microbatches, "core_count", lambda: 2)
    monkeypatch.setattr(microbatches, "one_thread_per_operation", lambda: True)


def config_of(*, batch_size=16, batch_sizes=None, run=None, evaluation=None, loss=None, **network):
    return TrainConfig(
        network=NetworkConfig(**{"resolution": 16, **network}),
        schedule=ScheduleConfig(batch_size=batch_size, batch_size_by_resolution=batch_sizes or {}),
        loss=LossConfig(**(loss or {})),
        run=RunConfig(**(run or {})),
        evaluation=EvalConfig(**(evaluation or {})),
    )


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("label_size", [0, 3])
def test_a_step_in_two_microbatches_learns_what_a_whole_one_does(
    one_device, monkeypatch, label_size, simultaneous
):
    def learned(cores):
        monkeypatch.setattr(microbatches, "core_count", lambda: cores)
        monkeypatch.setattr(microbatches, "one_thread_per_operation", lambda: True)
        config = tiny_config(label_size=label_size)
        optimizer = dataclasses.replace(config.optimizer, simultaneous_updates=simultaneous)
        config = dataclasses.replace(config, optimizer=optimizer)
        state = TrainState(config, one_device)
        step = TrainStep(state, config, one_device, resolution=8, fading=True)
        for seen in (0, 16):
            result = step(step_inputs(16, images_seen=seen, label_size=label_size))
        networks = state.generator, state.discriminator, state.ema_generator
        return [arrays(network) for network in networks], result.last_scalars

    (*whole, _), scalars = learned(1)
    (*split, _), split_scalars = learned(2)
    assert list(scalars) == list(split_scalars)
    for name, value in scalars.items():
        assert split_scalars[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    for expected, actual in zip(whole, split, strict=True):
        for path, value in expected.items():
            np.testing.assert_allclose(actual[path], value, atol=2e-4, err_msg=path)


@pytest.mark.parametrize("split", [microbatches.side_by_side, microbatches.accumulate])
def test_pairs_of_reals_and_fakes_stay_whole_in_microbatches(one_device, rng, split):
    state = TrainState(tiny_config(), one_device)
    compute = functools.partial(
        generator_gradients,
        *(
            functools.partial(network, resolution=4, training=True)
            for network in (state.generator, state.discriminator)
        ),
        state.generator.variables_at(4, fading=False),
        LossConfig(loss="rpgan"),
    )
    # Reals that differ much, so that another pairing has other gradients.
    reals = rng.normal(size=[8, 4, 4, 3]) * np.arange(1, 9)[:, np.newaxis, np.newaxis, np.newaxis]
    batch = {"latents": rng.normal(size=[8, 8]), "reals": reals}
    batch = {name: tf.constant(value, tf.float32) for name, value in batch.items()}
    expected, scalars = compute(**batch, labels=None)
    gradients, split_scalars = split(compute, 2)(**batch, labels=None)
    assert float(split_scalars["loss/generator"]) == pytest.approx(float(scalars["loss/generator"]))
    for gradient, reference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-3, atol=1e-6)
    others, _ = compute(**{**batch, "reals": tf.reverse(batch["reals"], [0])}, labels=None)
    assert not np.allclose(others[0], expected[0], rtol=1e-3, atol=1e-6)


def test_microbatches_keep_the_groups_of_minibatch_stddev(two_cores):
    layer_input = tf.random.stateless_normal([16, 2, 2, 3], [1, 2])
    stddev = MinibatchStdDev(4)
    seen = []

    def compute(images):
        seen.append(stddev(images)[:, 0, 0, -1])
        return tf.reduce_mean(images)

    tf.config.run_functions_eagerly(True)
    try:
        mean = microbatches.side_by_side(compute, 2)(images=layer_input)
    finally:
        tf.config.run_functions_eagerly(False)
    expected = stddev(layer_input)[:, 0, 0, -1]
    for i, deviation in enumerate(seen):
        np.testing.assert_allclose(deviation, expected[i::2], rtol=1e-6)
    assert float(mean) == pytest.approx(float(tf.reduce_mean(layer_input)), rel=1e-5)


def test_what_has_no_gradient_has_none_in_microbatches():
    compute = microbatches.side_by_side(lambda x, y: ([None, tf.reduce_sum(x)], {"y": y}), 2)
    (none, mean), named = compute(x=tf.constant([1.0, 2.0, 3.0, 4.0]), y=None)
    assert none is None and named == {"y": None}
    assert float(mean) == 5.0


def test_accumulated_microbatches_are_whole_groups_and_leave_out_what_is_absent():
    x = tf.random.stateless_normal([16, 2, 2, 3], [1, 2])
    stddev = MinibatchStdDev(4)

    def compute(images, labels):
        assert labels is None
        deviation = stddev(images)[:, 0, 0, -1]
        return [None, tf.reduce_mean(deviation)], {"largest": tf.reduce_max(deviation)}

    expected = stddev(x)[:, 0, 0, -1].numpy()
    (none, mean), scalars = microbatches.accumulate(compute, 4)(images=x, labels=None)
    assert none is None
    assert float(mean) == pytest.approx(expected.mean(), rel=1e-5)
    # A mean of each microbatch's one group.
    assert float(scalars["largest"]) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("jit_compile", ["off", "on"])
def test_accumulated_microbatches_take_less_memory_for_the_same_step(one_device, jit_compile):
    images = np.random.default_rng(0).integers(0, 256, [64, 3, 16, 16]).astype(np.uint8)
    peaks, found = {}, {}
    for count in ("off", 4):
        config = config_of(
            batch_size=64, run={"jit_compile": jit_compile, "microbatches": count}, **TINY
        )
        state = TrainState(config, one_device)
        step = TrainStep(state, config, one_device, resolution=16, fading=False)
        inputs = step_inputs(64, images=images)
        found[count] = step(inputs).scalars
        tf.config.experimental.reset_memory_stats("CPU:0")
        before = tf.config.experimental.get_memory_info("CPU:0")["current"]
        step(inputs).tensor.numpy()
        peaks[count] = tf.config.experimental.get_memory_info("CPU:0")["peak"] - before
    np.testing.assert_allclose(found[4], found["off"], rtol=1e-4, atol=1e-6)
    assert 0 < peaks[4] < 0.4 * peaks["off"]


@pytest.mark.parametrize(
    ("wanted", "options", "count"),
    [
        (2, {}, 2),
        (4, {}, 4),
        (3, {}, 2),  # of four groups
        (8, {}, 4),
        (8, {"batch_size": 4}, 1),
        (3, {"batch_size": 12}, 3),
        (4, {"batch_size": 6, "minibatch_features": "none"}, 3),
        (1, {}, 1),
        ("off", {}, 1),
        ("auto", {}, 1),
    ],
    ids=str,
)
def test_batches_are_split_into_at_most_as_many_microbatches_as_are_wanted(wanted, options, count):
    config = config_of(**options, run={"microbatches": wanted})
    assert config.accumulated_microbatches(options.get("batch_size", 16)) == count


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 2),
        ({"batch_size": 8}, 2),
        ({"run": {"microbatches": "off"}}, 1),
        ({"run": {"microbatches": 2}}, 1),  # one after the other
        ({"batch_size": 4}, 1),
        ({"batch_size": 12}, 1),  # three groups
        ({"batch_size": 6, "minibatch_features": "none"}, 2),
        ({"batch_size": 6, "stddev_group_size": 3}, 2),
        ({"stddev_group_size": 0}, 1),
        ({"minibatch_features": "discrimination"}, 1),
        ({"generator_norm": "batch"}, 1),
        ({"discriminator_norm": "batch"}, 1),
        ({"discriminator_norm": "layer"}, 2),
        ({"discriminator_noise": 0.2, "loss": {"loss": "lsgan"}}, 1),
    ],
    ids=str,
)
def test_only_batches_whose_microbatches_are_independent_are_split(two_cores, options, count):
    config = config_of(**options)
    batch_size = options.get("batch_size", 16)
    assert microbatches.count_microbatches(config, batch_size, replicas=1) == count
    assert microbatches.count_microbatches(config, batch_size, replicas=2) == 1


def test_nothing_is_split_where_operations_share_threads(monkeypatch):
    monkeypatch.setattr(microbatches, "core_count", lambda: 2)
    assert not microbatches.one_thread_per_operation()  # TensorFlow's default, as in other tests
    assert microbatches.count_microbatches(config_of(), 16, replicas=1) == 1


@pytest.mark.parametrize(
    ("options", "cores", "expected"),
    [
        ({}, 2, True),
        ({}, 4, True),
        ({}, 1, False),
        ({}, 3, False),
        ({}, 8, False),
        ({"batch_size": 32}, 8, False),
        ({"batch_sizes": {16: 4}}, 2, False),
        ({"batch_sizes": {32: 4}}, 2, True),  # a stage beyond the run's resolution
        ({"run": {"microbatches": "off"}}, 2, False),
        ({"run": {"microbatches": 2}}, 2, False),
        ({"run": {"jit_compile": "on"}}, 2, False),
        ({"run": {"distribution": "multi_worker"}}, 2, False),
        ({"run": {"logical_cpus": 2}}, 2, True),
        ({"run": {"logical_cpus": 2}, "batch_size": 8}, 2, True),
        ({"run": {"logical_cpus": 2}, "batch_size": 8}, 4, False),
        ({"run": {"logical_cpus": 2}}, 4, True),
        ({"run": {"logical_cpus": 2}}, 3, False),
        ({"generator_norm": "batch"}, 2, False),
        ({"generator_norm": "batch", "run": {"logical_cpus": 2}}, 2, True),
        ({"evaluation": {"eval_metrics": "swd"}}, 2, True),
        ({"evaluation": {"eval_metrics": "swd,fid"}}, 2, False),
    ],
    ids=str,
)
def test_operations_get_one_thread_where_every_stage_keeps_all_cores_busy(
    monkeypatch, options, cores, expected
):
    given = []
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(microbatches, "core_count", lambda: cores)
    monkeypatch.setattr(
        tf.config.threading, "set_intra_op_parallelism_threads", lambda count: given.append(count)
    )
    microbatches.set_up_threads(config_of(**options))
    assert given == [1] * expected


@pytest.mark.parametrize("name", ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"])
def test_threads_that_a_user_has_set_stay(monkeypatch, name):
    monkeypatch.setattr(microbatches, "core_count", lambda: 2)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", pytest.fail)
    monkeypatch.setenv(name, "2")
    microbatches.set_up_threads(config_of())


def test_a_tensorflow_that_runs_already_keeps_its_threads(monkeypatch):
    monkeypatch.setattr(microbatches, "core_count", lambda: 2)
    tf.config.list_logical_devices()  # so that it does
    microbatches.set_up_threads(config_of())
    assert not microbatches.one_thread_per_operation()


@pytest.mark.parametrize("batch_size", [3, 4])
def test_cores_share_out_what_is_generated(one_device, two_cores, batch_size):
    sizes = []

    def call(latents, labels):
        sizes.append(latents.shape[0])
        return tf.concat([latents, labels], axis=1)[:, :, None, None]

    generate = ReplicatedGenerator(call, one_device, batch_size=batch_size, label_size=2)
    latents, labels = np.linspace(-1, 1, 9).reshape(3, 3), np.eye(3, 2)
    images, _ = generate(latents.astype(np.float32), labels.astype(np.float32))
    expected = to_uint8(np.concatenate([latents, labels], axis=1))
    np.testing.assert_array_equal(images[:, :, 0, 0], expected)
    assert sizes == ([2, 2] if batch_size == 4 else [3])


_RUN = """
import sys
from pgan_tf.runs.grids import to_uint8
from pgan_tf.step import microbatches
from pgan_tf.training.loop import train
from tests.helpers.tiny import tiny_config
microbatches.core_count = lambda: int(sys.argv[3])
train(tiny_config(sys.argv[1], sys.argv[2]))
print(microbatches.one_thread_per_operation())
"""


def test_a_run_on_two_cores_gives_each_operation_one_thread(pyramid_dir, tmp_path):
    for cores, expected in ((2, "True"), (8, "False")):
        run_dir = str(tmp_path / f"run{cores}")
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(pyramid_dir), run_dir, str(cores)],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == expected
