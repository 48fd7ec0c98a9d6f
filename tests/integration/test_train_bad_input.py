"""Mistakes of a user of pgan-train: one line, exit code 2, nothing left behind."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from pgan_tf.cli import train
from pgan_tf.data.order import records_at
from tests.helpers.forked import TRAIN, Forked
from tests.helpers.rewriting import rewrite_checkpoint
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

SMALL = ["--fmap_base=32", "--fmap_max=8", "--total_kimg=0.008", "--batch_size=8"]


@pytest.fixture
def data(tmp_path):
    return write_pyramid(tmp_path / "data" / "tiny", resolution=8, channels=3)


def refuse(capsys, *arguments):
    """Run the command, which must fail as a user's mistake; return the error line."""
    assert train.main([*arguments, *SMALL]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pgan-train: error: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--run_dir={tmp}/run"],
            "run does not exist. If the run is in another directory",
        ),
        (["--run_dir={data}"], "holds no run to continue. If the run is in another directory"),
        ([], "--data_dir is required"),
        (["--data_dir={data}"], "--run_dir is required"),
        (["--fmap_bas=3"], "Unknown command line flag 'fmap_bas'. Did you mean --fmap_base"),
        (["--data_dir={tmp}/nothing", "--run_dir={tmp}/run"], "nothing: no such directory"),
        (["--data_dir={tmp}", "--run_dir={tmp}/run"], "no pyramid in it"),
        (["--data_dir={data}", "--run_dir={tmp}/r\udce9"], "--run_dir must be UTF-8"),
        (["--resolution=100"], "--resolution must be a power of two from 4, such as 64 or 128"),
        (["--resolution=ten"], "--resolution"),
        (["--data_dir={data}", "--run_dir={tmp}/run", "--resolution=64"], "data's 8. Received: 64"),
        (["--batch_size_by_resolution=4"], "expected resolution:value pairs"),
        (
            ["--data_dir={data}", "--run_dir={tmp}/run", "--batch_size=6"],
            "the nearest: 4 and 8. Received: 6",
        ),
        (["--eval_metrics=swd,fdi"], "precision_recall_by_class, modes. Received: fdi"),
        (
            ["--data_dir={data}", "--run_dir={tmp}/run", "--eval_metrics=swd"],
            "swd needs images of 16x16 or larger. Received: 8x8",
        ),
        (["--flagfile={tmp}/missing.flags"], "missing.flags"),
        (["training.flags"], "arguments are given as --flag=value. Received: training.flags"),
        (["--data_dir={data}", "--run_dir={data}/tiny-r02.tfrecords/run"], "can't be written"),
        (["--data_dir={data}", "--run_dir={data}"], "no run of pgan-train"),
        (["--data_dir={data}", "--run_dir=/dev/null"], "--run_dir=/dev/null is no directory"),
        (["--precision=float64"], "--precision"),
        (["--profile=30:20"], "--profile must be START:END, steps counted from 1"),
    ],
)
def test_wrong_flags(capsys, tmp_path, data, arguments, message):
    before = sorted(tmp_path.rglob("*"))
    filled = [a.format(tmp=tmp_path, data=data) for a in arguments]
    # A batch size given twice: absl takes the last, so the test's own goes last.
    small = [flag for flag in SMALL if flag.split("=")[0] not in {a.split("=")[0] for a in filled}]
    assert train.main([*small, *filled]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_level(capsys, tmp_path, data):
    (data / "tiny-r02.tfrecords").unlink()
    error = refuse(capsys, f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}")
    assert "tiny-r02.tfrecords: missing" in error
    assert not (tmp_path / "run").exists()


def test_a_truncated_level(capsys, tmp_path, data):
    path = data / "tiny-r03.tfrecords"
    path.write_bytes(path.read_bytes()[:-5])
    error = refuse(capsys, f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}")
    assert "tiny-r03.tfrecords" in error
    assert not (tmp_path / "run").exists()


def test_labels_of_the_wrong_length(capsys, tmp_path, data):
    with (data / "tiny-rxx.labels").open("wb") as file:
        np.save(file, np.eye(3, dtype=np.float32))
    error = refuse(capsys, f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}")
    assert "tiny-rxx.labels" in error
    assert "3" in error and "24" in error
    assert not (tmp_path / "run").exists()


def test_data_of_a_run_that_have_moved(capsys, tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "config.flags").write_text("--data_dir=/moved/away\n--resolution=8\n")
    assert train.main([f"--run_dir={run_dir}"]) == 2
    error = capsys.readouterr().err
    assert "/moved/away: no such directory" in error
    assert error.endswith("If the run's data has moved, give --data_dir\n")
    assert train.main([f"--run_dir={run_dir}", "--data_dir=/not/there"]) == 2
    error = capsys.readouterr().err
    assert "/not/there: no such directory" in error and "moved" not in error


def test_a_run_made_with_other_flags(capsys, tmp_path, data):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "config.flags").write_text(f"--data_dir={data}\n--fmap_max=16\n--resolution=8\n")
    error = refuse(capsys, f"--run_dir={run_dir}")
    assert "made with other flags: " in error
    assert "--fmap_max=8 (was 16)" in error
    assert [p.name for p in run_dir.iterdir()] == ["config.flags"]


def test_a_broken_config_of_a_run(capsys, tmp_path):
    (tmp_path / "config.flags").write_text("--fmap_bas=3\n")
    assert "config.flags:1: Unknown command line flag" in refuse(capsys, f"--run_dir={tmp_path}")


def test_a_damaged_record_names_its_file_and_keeps_what_was_learned(capsys, tmp_path, data):
    path = data / "tiny-r02.tfrecords"
    content = bytearray(path.read_bytes())
    (record,) = records_at(np.array([20]), count=24, seed=1)  # in the third batch
    content[(record + 1) * len(content) // 24 - 10] ^= 1
    path.write_bytes(content)
    arguments = [f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}", *SMALL[:2]]
    assert train.main([*arguments, "--total_kimg=0.096", "--batch_size=8"]) == 2
    assert f"tiny-r02.tfrecords: record {record} " in capsys.readouterr().err
    assert saved_states(tmp_path / "run") == ["state-000000000", "state-000000016"]


@pytest.mark.parametrize("labels", [False, True])
def test_data_that_become_shorter_end_the_run_with_one_line_after_a_save(tmp_path, labels):
    given = np.eye(2)[np.arange(5000) % 2] if labels else None
    data = write_pyramid(tmp_path / "tiny", resolution=4, channels=3, count=5000, labels=given)
    flags = [f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}", *SMALL[:1], "--batch_size=8"]
    flags += ["--resolution=4", "--total_kimg=1000", "--tick_kimg=0.1", "--checkpoint_kimg=1000"]
    process = Forked(TRAIN, *flags)
    for line in process.stdout:
        if "s/kimg" in line:
            break
    os.truncate(data / ("tiny-rxx.labels" if labels else "tiny-r02.tfrecords"), 100)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert ": has been cut short since it was opened: 100 of" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert len(saved_states(tmp_path / "run")) == 2


def saved_states(run_dir):
    return sorted(path.stem for path in (run_dir / "checkpoints").glob("*.index"))


def test_a_checkpoint_beyond_the_end_is_not_done(capsys, tmp_path, data):
    arguments = [f"--data_dir={data}", f"--run_dir={tmp_path}/run"]
    assert train.main([*arguments, *SMALL]) == 0
    checkpoints = tmp_path / "run" / "checkpoints"
    saved = checkpoints / "state-000000008"
    name = "variables/images_seen/.ATTRIBUTES/VARIABLE_VALUE"
    rewrite_checkpoint(saved, checkpoints / f"state-{2**62}", {name: np.int64(2**62)})
    capsys.readouterr()
    assert "never reaches: damaged, or made with" in refuse(capsys, *arguments)


def test_an_interrupt_while_reports_are_written_still_saves(capsys, tmp_path, data, monkeypatch):
    ticks = []

    def interrupt_once(self, scalars, images_seen):
        ticks.append(images_seen)
        if len(ticks) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("pgan_tf.reporting.summaries.Summaries.write_scalars", interrupt_once)
    run_dir = tmp_path / "run"
    arguments = [f"--data_dir={data}", f"--run_dir={run_dir}", *SMALL[:2], "--batch_size=8"]
    assert train.main([*arguments, "--total_kimg=1", "--tick_kimg=0.016"]) == 130
    assert "stopped by SIGINT at 0.0 kimg, and saved" in capsys.readouterr().out
    assert ticks == [16, 24]  # one step after the tick that was interrupted
    assert saved_states(run_dir) == ["state-000000000", "state-000000024"]
    assert [p.name for p in (run_dir / "networks").iterdir()] == ["generator-000000.keras"]


def test_a_keras_that_is_set_up_for_another_backend_does_not_matter():
    code = "from pgan_tf.cli.quiet import quiet_tensorflow\nwith quiet_tensorflow():\n"
    code += "    import pgan_tf.training.loop"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
