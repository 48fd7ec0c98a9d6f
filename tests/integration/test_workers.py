"""Two worker processes over loopback learn as one does; a lost one ends the other."""

import contextlib
import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from absl import flags as absl_flags

from pgan_tf.config import flags
from pgan_tf.distribution.strategy import make_strategy
from pgan_tf.runs.checkpoints import Checkpoints
from pgan_tf.runs.run_directory import RunDirectory
from pgan_tf.step.train_state import TrainState
from pgan_tf.training.preflight import fit_to_data
from tests.helpers.forked import TRAIN, Forked
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
ONE_WORKER = ["tests.integration.one_worker"]
FLAGS = [
    "--distribution=multi_worker",
    "--fmap_base=32",
    "--fmap_max=8",
    "--resolution=4",
    "--batch_size=8",
    "--total_kimg=1000",
    "--tick_kimg=0.064",
    "--sample_kimg=1000",
    "--checkpoint_kimg=0.32",
    "--network_kimg=1000",
    "--deterministic",
]
# Seconds, enough for a busy machine; each wait ends as soon as it can.
PATIENCE = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    directory = tmp_path_factory.mktemp("data") / "tiny"
    return write_pyramid(directory, resolution=8, channels=1, labels=labels)


def two_free_ports():
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]


def environment(ports, index):
    described = {
        "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
        "task": {"type": "worker", "index": index},
    }
    return {**os.environ, "TF_CONFIG": json.dumps(described), "CUDA_VISIBLE_DEVICES": ""}


@contextlib.contextmanager
def workers(commands, directory):
    """Start a process for each command, with its output in a file; kill those that are left."""
    ports = two_free_ports()
    processes = []
    try:
        for index, command in enumerate(commands):
            log = directory / f"worker{index}.log"
            processes.append(Forked(*command, log=log, cwd=ROOT, env=environment(ports, index)))
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def output(directory, index):
    return (directory / f"worker{index}.log").read_text()


def wait_until(condition, message):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, message()
        time.sleep(0.1)


def run_to_their_end(commands, directory):
    with workers(commands, directory) as processes:
        for index, process in enumerate(processes):
            assert process.wait(PATIENCE) == 0, output(directory, index)
    return [dict(np.load(directory / f"state{index}.npz")) for index in range(len(commands))]


@pytest.mark.parametrize(
    # Each worker's sums are rounded to bfloat16 before they are added.
    ("precision", "tolerance", "options"),
    [
        ("float32", 1e-5, []),
        ("float32", 1e-5, ["compiled"]),
        ("float32", 1e-5, ["held_out"]),
        ("mixed_bfloat16", 5e-2, []),
    ],
)
def test_two_workers_make_the_step_of_one_process(data, tmp_path, precision, tolerance, options):
    command = [*ONE_WORKER, "multi_worker", precision, "1", str(data)]
    first, second = run_to_their_end(
        [[*command, str(tmp_path / f"state{index}.npz"), *options] for index in range(2)], tmp_path
    )
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes(), name
    alone = [*ONE_WORKER, "one_device", precision, "1", str(data), str(tmp_path / "one.npz")]
    alone += [option for option in options if option == "held_out"]
    assert Forked(*alone, log=tmp_path / "one.log", cwd=ROOT).wait(PATIENCE) == 0
    one = np.load(tmp_path / "one.npz")
    assert first["loss"] == pytest.approx(one["loss"], rel=10 * tolerance)
    if options == ["held_out"]:
        np.testing.assert_allclose(first["augment_scores"], one["augment_scores"], atol=1e-5)
    moments = [name for name in one.files if "_adam/" in name and "velocity" in name]
    assert len(moments) > 20
    for name in moments:
        # The second moments are the squares of the gradients, 1 - beta2 times, after one step.
        expected, actual = np.sqrt(one[name]), np.sqrt(first[name])
        scale = max(0.1, expected.max())
        np.testing.assert_allclose(actual, expected, atol=tolerance * scale, err_msg=name)


def test_workers_are_bit_equal_after_fifty_steps_and_skip_bad_updates_together(data, tmp_path):
    command = [*ONE_WORKER, "multi_worker", "float32", "50", str(data)]
    commands = [[*command, str(tmp_path / f"state{index}.npz")] for index in range(2)]
    first, second = run_to_their_end(commands, tmp_path)
    assert not first["skipped"].any()
    assert first["images_seen"] == 400
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes(), name

    calls = tmp_path / "calls"
    calls.mkdir()
    commands = [[*command, str(calls / f"state{index}.npz"), "calls"] for index in range(2)]
    for state in run_to_their_end(commands, calls):
        assert len(state["skipped"]) == 50
        for name, value in first.items():
            np.testing.assert_allclose(state[name], value, atol=1e-5, err_msg=name)

    damaged = tmp_path / "damaged"
    damaged.mkdir()
    commands = [
        [*ONE_WORKER, "multi_worker", "float32", "3", str(data), str(damaged / f"state{index}.npz")]
        for index in range(2)
    ]
    commands[1].append("damaged")
    first, second = run_to_their_end([[*command, "calls"] for command in commands], damaged)
    assert first["skipped"].tolist() == second["skipped"].tolist() == [1, 1, 1]
    assert np.isfinite(first["discriminator/4x4_conv/kernel"]).all()


def start_training(data, run_dir, *flags):
    command = [TRAIN, *FLAGS, f"--data_dir={data}", f"--run_dir={run_dir}", *flags]
    return [command, command]


def test_a_signal_to_one_worker_saves_and_ends_all_and_a_lost_one_ends_the_other(data, tmp_path):
    run_dir = tmp_path / "run"
    with workers(start_training(data, run_dir), tmp_path) as (chief, other):
        wait_until(
            lambda: "kimg 0.3" in output(tmp_path, 0) or chief.poll() is not None,
            lambda: output(tmp_path, 0) + output(tmp_path, 1),
        )
        other.terminate()
        assert chief.wait(60) == other.wait(60) == 128 + signal.SIGTERM, output(tmp_path, 0)
    stopped = "stopped by SIGTERM at"
    said = [re.search(rf"{stopped} (\S+) kimg, and saved", output(tmp_path, i)) for i in range(2)]
    assert said[0] and said[1] and said[0][1] == said[1][1]
    newest = max((run_dir / "checkpoints").glob("*.index"), key=lambda p: p.stat().st_mtime)
    saved = int(newest.stem.removeprefix("state-"))

    # All continue together, until one is killed outright.
    with workers(start_training(data, run_dir), tmp_path) as (chief, other):
        wait_until(
            lambda: "s/kimg" in output(tmp_path, 0) or chief.poll() is not None,
            lambda: output(tmp_path, 0) + output(tmp_path, 1),
        )
        assert f"continuing at {saved / 1000:.1f} of" in output(tmp_path, 1)
        other.kill()
        killed = time.monotonic()
        assert chief.wait(60) == 75, output(tmp_path, 0)
        assert time.monotonic() - killed < 30
    assert "pgan-train: error: worker 0 of 2: another worker has gone" in output(tmp_path, 0)
    assert "Traceback" not in output(tmp_path, 0)


def save_checkpoint_made_while_skipping(data, run_dir):
    """Begin a run with a weight that is NaN, as if a signal had ended it while skipping."""
    given = start_training(data, run_dir)[0][1:]
    flag_values = absl_flags.FlagValues()
    flags.define_train_flags(flag_values)
    flag_values(["pgan-train", *given])
    pyramid = open_pyramid(data)
    config = fit_to_data(flags.config_from_flags(flag_values, None), pyramid)
    with contextlib.closing(RunDirectory(run_dir)) as directory:
        directory.open(config, pyramid)
    state = TrainState(config, make_strategy("one_device"))
    bias = state.discriminator.variables["4x4_dense1/bias"]
    bias.assign(np.full(bias.shape, np.nan))
    state.images_seen = 64
    Checkpoints(directory.checkpoints, state, keep=1).save(healthy=False)


def test_all_workers_say_that_nothing_but_skipped_updates_is_no_end(data, tmp_path):
    run_dir = tmp_path / "run"
    save_checkpoint_made_while_skipping(data, run_dir)
    commands = start_training(data, run_dir, "--total_kimg=0.088")
    with workers(commands, tmp_path) as processes:
        for index, process in enumerate(processes):
            assert process.wait(PATIENCE) == 3, output(tmp_path, index)
    for index in range(2):
        assert "the last 3 updates, up to the end at 0.088 kimg" in output(tmp_path, index)


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_waits_for_the_others_can_be_stopped(data, tmp_path, index):
    command = start_training(data, tmp_path / "run")[index]
    log = tmp_path / "log"
    process = Forked(*command, log=log, cwd=ROOT, env=environment(two_free_ports(), index))
    wait_until(lambda: "waiting for the others" in log.read_text(), log.read_text)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert log.read_text().endswith("pgan-train: interrupted\n")


def test_workers_that_were_started_with_other_flags_are_refused(data, tmp_path):
    commands = start_training(data, tmp_path / "run")
    commands[1] = [*commands[1], "--learning_rate=0.5"]
    with workers(commands, tmp_path) as (chief, other):
        assert other.wait(PATIENCE) == chief.wait(60) == 2, output(tmp_path, 1)
    for index in range(2):
        assert "these were started with other flags or data than worker 0: 1" in output(
            tmp_path, index
        )
    assert not (tmp_path / "run" / "config.flags").exists()
