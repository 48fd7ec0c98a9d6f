"""Compilations of whole runs: one for each kind of step, ahead of its phase, and kept."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

# Of TensorFlow: a line for each function that XLA has compiled, or loaded from the cache.
_LOG = {"TF_CPP_VMODULE": "device_compilation_profiler=1", "TF_CPP_MIN_LOG_LEVEL": "0"}

_TRAIN = """
import dataclasses, json, sys
from pgan_tf.step.program import Programs
from pgan_tf.training import feeding, loop, phase_graphs, run_ahead
from tests.helpers.tiny import tiny_config

for module in (feeding, phase_graphs, run_ahead):
    module.is_on_gpus = lambda strategy: True

compile_ahead = Programs.compile_ahead

def announced(*args):
    print("ahead begins", file=sys.stderr, flush=True)
    compile_ahead(*args)
    print("ahead ends", file=sys.stderr, flush=True)

Programs.compile_ahead = announced
data_dir, run_dir, run, optimizer = sys.argv[1:]
config = tiny_config(
    data_dir, run_dir, jit_compile="on", checkpoint_kimg=0.016, keep_checkpoints=9,
    **json.loads(run),
)
optimizer = dataclasses.replace(config.optimizer, **json.loads(optimizer))
loop.train(dataclasses.replace(config, optimizer=optimizer))
"""


@pytest.fixture
def train(tmp_path):
    """Return a function that trains 4x4 and both phases of 8x8, as on GPUs, and returns the log."""
    data_dir = write_pyramid(tmp_path / "data" / "tiny", resolution=8, channels=3)

    def train(run, optimizer=None, **environment):
        arguments = [str(data_dir), str(tmp_path / "run"), json.dumps(run)]
        done = subprocess.run(
            [sys.executable, "-c", _TRAIN, *arguments, json.dumps(optimizer or {})],
            env={**os.environ, **_LOG, **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return train


def compilations(log):
    """Return lines about compilations of steps, and about those made ahead, in their order."""
    return re.findall(r"Compiled \S+ \d+ times|ahead \w+", log)


def kinds_of_lines(lines):
    return [line.split()[0] if line.startswith("Compiled") else line for line in lines]


def check_compiled_once(lines, count):
    compiled = [line for line in lines if line.startswith("Compiled")]
    assert len(compiled) == len(set(compiled)) == count
    assert all(line.endswith(" 1 times") for line in compiled)


def test_two_kinds_of_steps_are_compiled_once_each_and_before_their_phase(train):
    run = {"steps_per_call": 3, "tick_kimg": 0.012}
    optimizer = {"discriminator_steps": 2, "ema_update": "generator_step"}
    lines = compilations(train(run, optimizer))
    check_compiled_once(lines, 6)
    # The second kind of the first phase may be compiled beside the next one.
    in_order = kinds_of_lines(lines)
    assert in_order.count("ahead begins") == in_order.count("ahead ends") == 4


def test_steps_are_compiled_before_their_phase_and_not_again_if_they_are_cached(train, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    flags = f"--tf_xla_persistent_cache_directory={cache}"
    run = {"steps_per_call": "auto", "microbatches": 2}
    lines = compilations(train(run, TF_XLA_FLAGS=flags))
    check_compiled_once(lines, 3)
    ahead = ["ahead begins", "Compiled", "ahead ends"]
    assert kinds_of_lines(lines) == ["Compiled", *ahead, *ahead]
    files = {path.name for path in cache.iterdir()}
    assert len(files) == 3
    # It goes on within the fade, with other functions made before.
    for later in (64, 80, 96):
        for path in (tmp_path / "run" / "checkpoints").glob(f"state-{later:09d}.*"):
            path.unlink()
    log = train(run, TF_XLA_FLAGS=flags)
    assert len(re.findall(r"Compiled \S+ 1 times", log)) == 2
    assert {path.name for path in cache.iterdir()} == files
