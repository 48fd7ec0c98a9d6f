"""Whole commands: train, look, continue, generate."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import pgan_tf
from pgan_tf.cli import generate, train
from tests.helpers.commands import TRAIN
from tests.helpers.states import saved_state
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

FLAGS = [
    "--fmap_base=32",
    "--fmap_max=8",
    "--stabilize_kimg=0.032",
    "--fade_kimg=0.032",
    "--batch_size=8",
    "--total_kimg=0.096",
    "--tick_kimg=0.016",
    "--sample_kimg=0.032",
    "--checkpoint_kimg=0.032",
    "--network_kimg=0.096",
    "--ema_decay=0.9",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    directory = tmp_path_factory.mktemp("data") / "tiny"
    return write_pyramid(directory, resolution=8, channels=3, labels=labels)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run from start to end, and its output."""
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    result = pgan_train(f"--data_dir={data}", f"--run_dir={run_dir}", "--deterministic", *FLAGS)
    assert result.returncode == 0, result.stderr
    return run_dir, result


# As a user's shell would have it: this variable turns TensorFlow's chatter on.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


def pgan_train(*arguments):
    """Run the command to its end."""
    return subprocess.run(
        [*TRAIN, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=ENVIRONMENT,
    )


def test_a_run_goes_through_all_stages_and_reports_each_tick(finished):
    _, result = finished
    ticks = [line for line in result.stdout.splitlines() if "s/kimg" in line]
    assert len(ticks) == 6
    for line, (phase, kimg) in zip(
        ticks[::2],
        [("4x4 stabilize", "0.0"), ("8x8 fade", "0.0"), ("8x8 stabilize", "0.1")],
        strict=True,
    ):
        assert re.search(rf"^{phase} +alpha [01]\.\d+  kimg {kimg}  .*img/s.*ETA.*D .*G ", line), (
            line
        )
    assert "finished at 0.096 kimg" in result.stdout
    assert result.stderr == ""


def test_a_run_directory_holds_what_the_readme_says(finished):
    run_dir, _ = finished
    names = sorted(str(p.relative_to(run_dir)) for p in run_dir.rglob("*") if p.is_file())
    events = [name for name in names if name.startswith("events.out.tfevents")]
    assert len(events) == 1
    assert [n for n in names if n not in events and not n.startswith("checkpoints")] == [
        "config.flags",
        "diagnosis.json",
        "fakes-000000.000.png",
        "fakes-000000.032.png",
        "fakes-000000.064.png",
        "fakes-000000.096.png",
        "metrics.jsonl",
        "networks/generator-000000.032.keras",
        "networks/generator-000000.096.keras",
        "reals.png",
    ]
    assert (run_dir / "checkpoints" / "state-000000096.index").exists()


def test_the_metrics_log_has_every_tick(finished):
    run_dir, _ = finished
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [16, 32, 48, 64, 80, 96]
    assert [line["progress/resolution"] for line in lines] == [4, 4, 8, 8, 8, 8]
    assert [line["progress/alpha"] for line in lines] == [1, 1, 0.5, 1, 1, 1]
    for name in ("loss/discriminator", "loss/generator", "loss/label_real", "loss/gradient_norm"):
        assert all(np.isfinite(line[name]) for line in lines)


def test_starting_a_finished_run_again_changes_nothing(finished):
    run_dir, _ = finished
    before = {p: p.read_bytes() for p in run_dir.rglob("*") if p.is_file()}
    result = pgan_train(f"--run_dir={run_dir}")
    assert (result.returncode, result.stderr) == (0, "")
    assert {p: p.read_bytes() for p in run_dir.rglob("*") if p.is_file()} == before


def training_process(*arguments):
    """Start the command."""
    return subprocess.Popen(
        [*TRAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_an_interrupted_run_continues_to_the_same_end(finished, data, tmp_path, number, code):
    run_dir = tmp_path / "run"
    arguments = [f"--data_dir={data}", f"--run_dir={run_dir}", "--deterministic", *FLAGS]
    process = training_process(*arguments)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "8x8 fade" in line and "s/kimg" in line:
            os.kill(process.pid, number)
            break
    output, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    if number != signal.SIGKILL:
        assert f"stopped by {number.name}" in output
        assert f"To continue: pgan-train --run_dir={run_dir}" in output
        assert errors == ""

    result = pgan_train(f"--run_dir={run_dir}")
    assert result.returncode == 0, result.stderr
    assert "continuing at" in result.stdout
    expected, actual = saved_state(finished[0], 96), saved_state(run_dir, 96)
    assert len(expected) > 50
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    seen = [json.loads(line)["images_seen"]
            for line in (run_dir / "metrics.jsonl").read_text().splitlines()]  # fmt: skip
    assert seen == sorted(set(seen))
    assert seen[-1] == 96


def test_a_run_continues_from_the_checkpoint_before_a_damaged_one(finished, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished[0], run_dir)
    (data_file,) = (run_dir / "checkpoints").glob("state-000000096.data*")
    data_file.write_bytes(data_file.read_bytes()[:100])
    result = pgan_train(f"--run_dir={run_dir}")
    assert result.returncode == 0, result.stderr
    assert "continuing at 0.1 of" in result.stdout  # 64 images
    assert "state-000000096 can't be read, trying the one before it" in result.stderr
    expected, actual = saved_state(finished[0], 96), saved_state(run_dir, 96)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def test_two_logical_cpus_train(data, tmp_path):
    result = pgan_train(
        f"--data_dir={data}",
        f"--run_dir={tmp_path / 'run'}",
        "--logical_cpus=2",
        *[flag for flag in FLAGS if "total" not in flag],
        "--total_kimg=0.040",
    )
    assert result.returncode == 0, result.stderr
    assert "to 8x8 on CPU:0, CPU:1, float32; starting at 0.0 of" in result.stdout


def test_generated_images_have_names_sizes_and_classes(finished, tmp_path, capsys):
    output = tmp_path / "out"
    code = generate.main([f"--network={finished[0]}", f"--output={output}", "--num_images=7"])
    assert code == 0
    names = sorted(p.name for p in output.iterdir())
    assert names == [*(f"00000{i}-{i % 3}.png" for i in range(7)), "grid.png"]
    assert Image.open(output / names[0]).size == (8, 8)
    assert Image.open(output / "grid.png").size == (3 * 8, 3 * 8)
    assert "7 images in" in capsys.readouterr().out


def test_a_seed_repeats_its_images_and_another_does_not(finished, tmp_path):
    for name, seed, count in (("a", 1, 4), ("b", 1, 2), ("c", 2, 4)):
        arguments = [f"--seed={seed}", f"--num_images={count}", "--classes=2", "--nogrid"]
        arguments += [f"--network={finished[0]}", f"--output={tmp_path / name}"]
        assert generate.main(arguments) == 0
    a, b, c = (np.asarray(Image.open(tmp_path / n / "000001-2.png")).astype(int) for n in "abc")
    assert np.abs(a - b).max() <= 1
    assert np.abs(a - c).max() > 1


def test_generated_images_are_the_saved_networks(finished, tmp_path):
    (newest,) = (finished[0] / "networks").glob("*0.096.keras")
    assert generate.main([f"--network={newest}", f"--output={tmp_path}", "--num_images=3"]) == 0
    from pgan_tf.runs.grids import draw_latents, to_uint8

    images = pgan_tf.load_generator(newest)([draw_latents(3, 8, seed=0), np.eye(3, dtype="f4")])
    for i, image in enumerate(to_uint8(images)):
        actual = np.asarray(Image.open(tmp_path / f"00000{i}-{i}.png")).astype(int)
        assert np.abs(actual - image).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=x"], "--network is required"),
        (["--network=missing", "--output={tmp}/x"], "missing: no such run directory"),
        (["--network={run}", "--output={tmp}/x", "--classes=9"], "must be of 0, 1, 2. Received: 9"),
        (["--network={run}", "--output={run}"], "holds files already"),
        (["--network={run}", "--output={run}/config.flags"], "--output must be a directory"),
        (["--network={run}", "--output={tmp}/x", "--num_images=0"], "num_images"),
        (["--network={run}", "--output={run}/config.flags/x"], "Not a directory"),
    ],
)
def test_mistakes_end_with_one_line_and_code_2(finished, tmp_path, capsys, arguments, message):
    filled = [a.format(tmp=tmp_path, run=finished[0]) for a in arguments]
    assert generate.main(filled) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_help_names_every_flag(capsys):
    assert train.main(["--help=all"]) == 0
    text = capsys.readouterr().out
    for flag in ("--data_dir", "--batch_size_by_resolution", "--precision=float32|mixed_bfloat16"):
        assert flag in text


def test_importing_the_package_does_not_import_tensorflow():
    code = (
        "import sys, pgan_tf, pgan_tf.cli.train, pgan_tf.cli.generate, tfrecords_tools.cli.prepare"
    )
    check = f"{code}; sys.exit('tensorflow' in sys.modules)"
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    assert time.monotonic() - started < 20
