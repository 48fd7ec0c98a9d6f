"""Time and memory of a run before it starts: pgan-train --plan and --dry_run."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pgan_tf.cli import train
from pgan_tf.config import NetworkConfig, TrainConfig
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.planning.trial_process import LIMIT_VARIABLE
from tests.helpers.tiny import write_pyramid
from tests.helpers.trials import rows_of

pytestmark = pytest.mark.slow

SMALL = [
    "--fmap_base=32",
    "--fmap_max=8",
    "--stabilize_kimg=2",
    "--fade_kimg=1",
    "--total_kimg=10",
    "--batch_size=8",
]


@pytest.fixture
def data(tmp_path):
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    return write_pyramid(tmp_path / "data" / "tiny", resolution=8, channels=3, labels=labels)


def files(path):
    return sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*"))


def test_a_plan_needs_neither_data_nor_tensorflow(tmp_path):
    (tmp_path / "paper.flags").write_text("--resolution=1024\n--batch_size=4\n")
    code = (
        "import sys; from pgan_tf.cli.train import main; status = main();"
        "assert 'tensorflow' not in sys.modules; sys.exit(status)"
    )
    arguments = ["--plan", "--flagfile=paper.flags", "--plan_replicas=2", "--plan_tflops=10"]
    paths = os.pathsep.join([str(p) for p in sys.path if p])
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
    )
    rows = rows_of(result.stdout)
    assert len(rows) == 18
    assert rows[16][:5] == ["1024x1024", "stabilize", "4", "2", "0.001"]
    assert all(float(cell) > 0 for cell in rows[16][5:])
    assert [p.name for p in tmp_path.iterdir()] == ["paper.flags"]


def test_the_plan_of_a_run(capsys, tmp_path, data):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "config.flags").write_text("\n".join([f"--data_dir={data}", *SMALL]))
    (run_dir / "metrics.jsonl").write_text(
        '{"images_seen": 2504, "progress/batch_size": 8, "speed/seconds_per_kimg": 500}\n'
    )
    before = files(tmp_path)
    assert train.main([f"--run_dir={run_dir}", "--plan"]) == 0
    out = capsys.readouterr().out
    assert "to 8x8, 3 channel(s), 3 labels" in out
    assert f"{run_dir}: 2.504 of 10 kimg are done; 7.496 kimg in 2 phases remain: " in out
    assert rows_of(out)[0][5:7] == ["0.496", "500"]
    assert files(tmp_path) == before


def test_a_dry_run_measures_every_phase_on_the_real_devices_and_writes_nothing(
    capfd, tmp_path, data
):
    before = files(tmp_path)
    arguments = [f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}", "--logical_cpus=2"]
    arguments.append("--steps_per_call=3")
    assert train.main([*arguments, "--dry_run", *SMALL]) == 0
    captured = capfd.readouterr()
    assert "3 labels, float32, on 2 replica(s): CPU:0, CPU:1" in captured.out
    rows = rows_of(captured.out)
    assert [row[:6] for row in rows[:-1]] == [
        ["4x4", "stabilize", "8", "4", "0.001", "2"],
        ["8x8", "fade", "8", "4", "0.001", "1"],
        ["8x8", "stabilize", "8", "4", "0.001", "7"],
    ]
    for row in rows[:-1]:
        assert float(row[6]) > 0 and float(row[8]) > 0 and len(row) == 9
    total = sum(float(row[8]) for row in rows[:-1])
    assert float(rows[-1][-1]) == pytest.approx(total, rel=0.02)
    assert captured.err == ""
    assert files(tmp_path) == before


def test_a_batch_for_which_memory_is_too_short_is_named_with_one_that_fits(
    capfd, tmp_path, data, monkeypatch
):
    # Without oneDNN, TensorFlow counts no memory on CPUs; it is off by default on some processors.
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    # The limit that a dry run on CPUs gives itself, from the memory that is free.
    monkeypatch.setenv(LIMIT_VARIABLE, str(100 * 2**20))
    arguments = [f"--data_dir={data}", "--resolution=4", "--fmap_base=512", "--fmap_max=64"]
    assert train.main([*arguments, "--dry_run", "--batch_size=2048"]) == 2
    captured = capfd.readouterr()
    rows = rows_of(captured.out)
    assert rows[0][:4] == ["4x4", "stabilize", "2048", "2048"]
    assert rows[0][6:] == ["-", "-", "-", "does", "not", "fit"]
    fits = int(rows[1][2])
    assert 4 <= fits < 2048 and rows[1][-1] == "fits"
    # The formula of --plan, held against what was just measured.
    network = NetworkConfig(resolution=4, fmap_base=512, fmap_max=64, label_size=3)
    formula = peak_bytes(TrainConfig(network=network), 4, fits, fading=False)
    assert 0.6 < formula / 2**30 / float(rows[1][7]) < 1.6
    assert captured.err == (
        "pgan-train: error: the batch at 4x4 does not fit in memory. What does: "
        f"--batch_size_by_resolution=4:{fits}; or, to train the same, "
        f"--microbatches={2048 // fits}\n"
    )


def test_a_damaged_record_is_found(capfd, data):
    path = data / "tiny-r03.tfrecords"
    content = bytearray(path.read_bytes())
    for record in range(24):
        content[(record + 1) * len(content) // 24 - 10] ^= 1
    path.write_bytes(content)
    assert train.main([f"--data_dir={data}", "--dry_run", *SMALL]) == 2
    error = capfd.readouterr().err
    assert "tiny-r03.tfrecords: record " in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "--dry_run"], "--plan and --dry_run exclude each other; give one of them"),
        (["--plan"], "--plan needs --resolution or --data_dir, to know where the run ends"),
        (["--plan", "--data_dir=/nothing/here"], "/nothing/here: no such directory"),
        (["--plan", "--resolution=8", "--plan_tflops=0"], "--plan_tflops must be above 0"),
        (
            ["--plan", "--resolution=8", "--plan_tflops=5", "--plan_device=h200"],
            "--plan_device and --plan_tflops exclude each other",
        ),
        (["--plan", "--resolution=8", "--plan_replicas=0"], "plan_replicas"),
        (["--plan", "--resolution=8", "--plan_replicas=3"], "the nearest: 6 and 9. Received: 8"),
        (["--dry_run"], "--data_dir is required"),
        (["--dry_run", "--data_dir=/nothing/here"], "/nothing/here: no such directory"),
    ],
)
def test_wrong_flags(capsys, arguments, message):
    assert train.main([*SMALL, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
