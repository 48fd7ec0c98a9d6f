"""Calls of several steps learn and report the same as single steps, to the last bit."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig
from pgan_tf.config.phases import Phase, Step
from pgan_tf.data.batches import Batch
from pgan_tf.step.step import TrainStep
from pgan_tf.step.train_state import TrainState
from pgan_tf.training import loop
from pgan_tf.training.feeding import to_replicas
from tests.helpers.tiny import each_step, tiny_config

pytestmark = pytest.mark.slow


def run_of(data_dir, run_dir, steps_per_call, **loss):
    """24 steps: 8 of 4x4, 8 while 8x8 fades in, 8 after; five steps a tick."""
    config = tiny_config(
        data_dir,
        run_dir,
        deterministic=True,
        steps_per_call=steps_per_call,
        tick_kimg=0.02,
        keep_checkpoints=9,
    )
    schedule = dataclasses.replace(config.schedule, batch_size=4, batch_size_by_resolution={})
    data = dataclasses.replace(config.data, mirror_augment=True)
    return dataclasses.replace(config, schedule=schedule, data=data, loss=LossConfig(**loss))


def outcome(run_dir):
    """Return the final state as bytes, the reports without times and memory, and the file names."""
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "state-000000096"))
    state = {
        name: np.asarray(reader.get_tensor(name)).tobytes()
        for name in reader.get_variable_to_shape_map()
        if "ATTRIBUTES/VARIABLE_VALUE" in name
    }
    lines = [json.loads(text) for text in (run_dir / "metrics.jsonl").read_text().splitlines()]
    of_the_machine = ("speed/", "memory/", "progress/eta_hours")
    reports = [
        {name: value for name, value in line.items() if not name.startswith(of_the_machine)}
        for line in lines
    ]
    files = {path.name for path in run_dir.rglob("*") if "tfevents" not in path.name}
    return state, reports, files


@pytest.mark.parametrize("loss", [{}, {"loss": "rpgan", "penalty_interval": 4}], ids=str)
def test_a_run_in_calls_of_several_steps_equals_one_in_single_steps(
    pyramid_dir, tmp_path, deterministic, loss
):
    one, several = tmp_path / "one", tmp_path / "several"
    loop.train(run_of(pyramid_dir, one, 1, **loss))
    state, reports, files = outcome(one)
    assert len(state) > 90
    assert [line["images_seen"] for line in reports] == [20, 32, 40, 60, 64, 80, 96]
    assert "loss/generator" in reports[0]
    loop.train(run_of(pyramid_dir, several, 4, **loss))
    assert outcome(several) == (state, reports, files)
    # Killed before its last checkpoint, and continued in calls of another length.
    for path in (several / "checkpoints").glob("state-000000096.*"):
        path.unlink()
    loop.train(run_of(pyramid_dir, several, 3, **loss))
    assert outcome(several) == (state, reports, files)


def test_a_run_ahead_of_its_devices_equals_one_that_waits(
    pyramid_dir, tmp_path, deterministic, request
):
    loop.train(run_of(pyramid_dir, tmp_path / "waits", 3))
    request.getfixturevalue("as_on_gpus")
    loop.train(run_of(pyramid_dir, tmp_path / "ahead", 3))
    assert outcome(tmp_path / "ahead") == outcome(tmp_path / "waits")


def test_a_run_ahead_that_is_stopped_saves_after_the_last_call_it_has_started(
    pyramid_dir,
    tmp_path,
    deterministic,
    request,
    monkeypatch,
):
    def config(name):
        run = run_of(pyramid_dir, tmp_path / name, 1)
        # Ticks only, so that nothing but the signal makes the run wait.
        intervals = {"sample_kimg": 9.0, "checkpoint_kimg": 9.0, "tick_kimg": 0.004}
        return dataclasses.replace(run, run=dataclasses.replace(run.run, **intervals))

    loop.train(config("waits"))
    request.getfixturevalue("as_on_gpus")
    make, steps = loop.TrainStep, []

    def make_interrupted(*args, **kwargs):
        train_step = make(*args, **kwargs)

        def run(inputs):
            steps.extend(int(step.images_seen) for step in each_step(inputs))
            if steps[-1] == 48:
                os.kill(os.getpid(), signal.SIGTERM)
            return train_step(inputs)

        run.prepare, run.compile_ahead = train_step.prepare, train_step.compile_ahead
        return run

    monkeypatch.setattr(loop, "TrainStep", make_interrupted)
    stopped = loop.train(config("ahead"))
    assert stopped.interrupted_by == signal.SIGTERM
    assert stopped.images_seen == steps[-1] + 4 == 52
    assert steps == list(range(0, 52, 4))
    assert (tmp_path / "ahead" / "checkpoints" / "state-000000052.index").exists()
    loop.train(config("ahead"))
    waits, ahead = outcome(tmp_path / "waits"), outcome(tmp_path / "ahead")
    assert ahead[:2] == waits[:2]


@pytest.mark.parametrize(
    ("devices", "jit_compile"), [("two_replicas", "off"), ("one_device", "on")]
)
def test_replicas_and_xla_take_the_same_steps(request, devices, jit_compile, deterministic, rng):
    strategy = request.getfixturevalue(devices)
    phase = Phase(1, 8, True, 0, 160, 160, 16, 0.01)
    steps = [Step(phase, seen, phase.alpha(seen), 0.01) for seen in range(0, 80, 16)]
    empty = np.zeros([16, 0], np.float32)
    images = rng.integers(0, 256, [len(steps), 16, 3, 8, 8]).astype(np.uint8)
    call = [(step, Batch(some, empty, empty)) for step, some in zip(steps, images, strict=True)]
    found = []
    for lengths in ([1] * 5, [3, 2]):
        config = tiny_config(jit_compile=jit_compile, steps_per_call=max(lengths))
        state = TrainState(config, strategy)
        train_step = TrainStep(state, config, strategy, resolution=8, fading=True)
        scalars, remaining = [], iter(call)
        for length in lengths:
            taken = [next(remaining) for _ in range(length)]
            inputs = to_replicas(
                strategy, state, taken, steps_per_call=max(lengths), stop_flags=(0.0, 1.0)
            )
            result = train_step(inputs)
            assert result.scalars.shape[0] == length
            assert result.stop_flags.tolist() == [0.0, strategy.num_replicas_in_sync]
            scalars.append(result.scalars)
        assert int(state.generator_optimizer.iterations.numpy()) == 5
        found.append((np.concatenate(scalars), state))
    (single_scalars, single), (scalars, state) = found
    np.testing.assert_array_equal(scalars, single_scalars)
    for name, variable in state.variables().items():
        for copy, expected in zip(
            strategy.experimental_local_results(variable),
            strategy.experimental_local_results(single.variables()[name]),
            strict=True,
        ):
            assert copy.numpy().tobytes() == expected.numpy().tobytes(), name
