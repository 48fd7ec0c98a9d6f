"""The next phase is compiled while the present one trains, which learns the same, to the bit."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.step.program import Programs
from pgan_tf.training import loop
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow


def test_training_goes_on_while_the_next_phase_is_compiled(
    pyramid_dir, tmp_path, deterministic, as_on_gpus, monkeypatch
):
    started, compiled = [], []
    begins, ends = threading.Event(), threading.Event()
    compile_ahead, make = Programs.compile_ahead, loop.TrainStep

    def noted(*args):
        begin = time.monotonic()
        begins.set()
        compile_ahead(*args)
        compiled.append((begin, time.monotonic()))
        ends.set()

    def make_slow(*args, resolution, **kwargs):
        train_step = make(*args, resolution=resolution, **kwargs)

        def run(inputs):
            if resolution == 4 and started:  # the phase lasts until the next one is compiled
                begins.wait()
                ends.wait(timeout=0.1)
            started.append(time.monotonic())
            return train_step(inputs)

        run.prepare, run.compile_ahead = train_step.prepare, train_step.compile_ahead
        return run

    def train(name):
        # 300 steps of 4x4. No other test has these functions, which XLA keeps in the process.
        config = tiny_config(
            pyramid_dir,
            tmp_path / name,
            deterministic=True,
            jit_compile="on",
            steps_per_call=1,
            tick_kimg=1,
            sample_kimg=9,
            checkpoint_kimg=9,
        )
        schedule = dataclasses.replace(config.schedule, stabilize_kimg=2.4, total_kimg=2.424)
        optimizer = dataclasses.replace(config.optimizer, adam_epsilon=1.25e-8)
        loop.train(dataclasses.replace(config, schedule=schedule, optimizer=optimizer))
        reader = tf.train.load_checkpoint(str(tmp_path / name / "checkpoints" / "state-000002424"))
        return {
            name: np.asarray(reader.get_tensor(name)).tobytes()
            for name in reader.get_variable_to_shape_map()
            if "ATTRIBUTES/VARIABLE_VALUE" in name
        }

    with monkeypatch.context() as context:
        context.setattr(Programs, "compile_ahead", noted)
        context.setattr(loop, "TrainStep", make_slow)
        state = train("ahead")
    [(begin, end)] = compiled
    meanwhile = [moment for moment in started if begin < moment < end]
    assert len(meanwhile) > 10
    assert max(np.diff([begin, *meanwhile, end])) < (end - begin) / 2
    monkeypatch.setattr(Programs, "compile_ahead", lambda *args: None)
    assert train("not ahead") == state
