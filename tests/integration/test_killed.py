"""Runs killed again and again end with the same bits as a run that was never interrupted."""

import json
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from tests.helpers.forked import TRAIN, Forked
from tests.helpers.states import saved_state
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

# Kills itself while the checkpoint of the given number of images is being written.
TRAIN_AND_DIE_SAVING = "tests.helpers.dying_train"
FLAGS = [
    "--fmap_base=32",
    "--fmap_max=8",
    "--stabilize_kimg=0.08",
    "--fade_kimg=0.16",
    "--batch_size=8",
    "--total_kimg=0.4",
    "--tick_kimg=0.016",
    "--sample_kimg=0.4",
    "--checkpoint_kimg=0.016",
    "--network_kimg=0.4",
    "--mirror_augment",
    "--deterministic",
]
# Scalars about the machine, not about training.
OF_THE_MACHINE = ("speed/", "memory/", "progress/eta")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    directory = tmp_path_factory.mktemp("data") / "tiny"
    return write_pyramid(directory, resolution=8, channels=3, labels=labels)


def kill_after(process, ticks, delay):
    """Kill a process some seconds after it has reported a number of ticks."""
    seen = 0
    for line in process.stdout:
        seen += "s/kimg" in line
        if seen == ticks:
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
            break
    process.communicate(timeout=300)
    return process.returncode


def scalars(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if not k.startswith(OF_THE_MACHINE)}
        for line in lines
    ]


# With augmentation that follows the scores of held-out images.
TWO_REPLICAS = ("--logical_cpus=2", "--augment=ada", "--augment_pipe=b", "--validation_images=8")


@pytest.mark.parametrize("devices", [(), TWO_REPLICAS], ids=["one device", "two replicas"])
def test_a_run_killed_five_times_ends_with_the_same_bits(data, tmp_path, devices):
    arguments = [f"--data_dir={data}", *FLAGS, *devices]
    undisturbed = Forked(TRAIN, *arguments, f"--run_dir={tmp_path / 'undisturbed'}")
    drained = threading.Thread(target=undisturbed.communicate)
    drained.start()  # beside the other, which spends most of its time starting

    run_dir = tmp_path / "killed"
    arguments.append(f"--run_dir={run_dir}")
    moments = random.Random(len(devices))
    outcomes = [
        # At 4x4 (5 ticks), in the fade (10) and after it (10); twice while saving.
        kill_after(Forked(TRAIN, *arguments), 1 + moments.randrange(3), moments.random() * 0.2),
        Forked(TRAIN_AND_DIE_SAVING, "000000128", *arguments).wait(300),
        kill_after(Forked(TRAIN, *arguments), 1 + moments.randrange(3), moments.random() * 0.2),
        kill_after(Forked(TRAIN, *arguments), 4 + moments.randrange(3), moments.random() * 0.2),
        Forked(TRAIN_AND_DIE_SAVING, "000000352", *arguments).wait(300),
    ]
    assert outcomes == [-signal.SIGKILL] * 5
    last = Forked(TRAIN, *arguments)
    output, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    assert "continuing at" in output
    drained.join()
    assert undisturbed.returncode == 0

    expected, actual = saved_state(tmp_path / "undisturbed", 400), saved_state(run_dir, 400)
    assert len(expected) > 50
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].tobytes() == value.tobytes(), name
    assert scalars(run_dir) == scalars(tmp_path / "undisturbed")
    assert len(scalars(run_dir)) == 25
