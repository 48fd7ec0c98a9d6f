"""Commands started in a directory that somebody else has made."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pgan_tf.cli import evaluate, train
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.command import run

# With an empty PYTHONSAFEPATH in the environment, Python does as it did before 3.11.
PREPARE = """
import os, sys
from tfrecords_tools import parallel
from tfrecords_tools.cli import prepare
parallel._KNOWS_SAFE_PATH &= "PYTHONSAFEPATH" not in os.environ
if __name__ == "__main__":
    sys.exit(prepare.main(sys.argv[1:]))
"""
TRY = """
import os, sys
from pgan_tf.config import TrainConfig
from pgan_tf.planning.trial_process import trial_process
from tests.helpers.trials import say_where
from tfrecords_tools import parallel
parallel._KNOWS_SAFE_PATH = False
if __name__ == "__main__":
    with trial_process(say_where, TrainConfig(), [], None) as messages:
        assert next(messages).devices == os.getcwd()
"""


def run_in_a_strange_directory(tmp_path, script, *arguments, **environment):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "command.py").write_text(script)
    names = ("socket", "random", "json", "numpy", "multiprocessing", "tensorflow", "pgan_tf")
    for name in names:
        (tmp_path / f"{name}.py").write_text("open('executed', 'w'); raise ImportError\n")
    done = subprocess.run(
        [sys.executable, "bin/command.py", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("environment", [{}, {"PYTHONSAFEPATH": ""}])
def test_modules_beside_the_images_are_not_imported_by_worker_processes(tmp_path, environment):
    for number in range(4):
        pixels = np.full((16, 16, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    arguments = ["--source=images", "--input=.", "--output=out", "--num_workers=2"]
    run_in_a_strange_directory(tmp_path, PREPARE, *arguments, **environment)
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_trial_begins_in_the_current_directory_and_imports_nothing_from_it(tmp_path):
    run_in_a_strange_directory(tmp_path, TRY, PYTHONSAFEPATH="")


def test_a_run_from_elsewhere_names_no_code_to_execute(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    data = write_pyramid(tmp_path / "data", resolution=4, channels=1)
    (tmp_path / "strange.py").write_text("open('executed', 'w')\ndef extract(images): return 0\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.flags").write_text(
        f"--data_dir={data}\n--resolution=4\n--fmap_max=4\n--latent_size=4\n--batch_size=4\n"
        "--total_kimg=0.008\n"
        "--stabilize_kimg=0.008\n--fade_kimg=0.008\n--eval_features=strange:extract\n"
        "--xla_cache_dir=here\n"
    )
    assert train.main(["--run_dir=run"]) == 0
    assert not (tmp_path / "executed").exists()
    assert (
        "run/config.flags: --eval_features is not taken from a run directory; give it again"
        in caplog.text
    )
    assert "strange" not in (tmp_path / "run/config.flags").read_text()


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (train.COMMAND, "--eval_features=strange:extract"),
        (train.COMMAND, "-xla_cache_dir=here"),
        (train.COMMAND, "--eval_features\nstrange:extract"),
        (evaluate.COMMAND, "--features=strange:extract"),
    ],
)
def test_a_flagfile_from_elsewhere_names_no_code_to_execute(tmp_path, capsys, command, flag):
    (tmp_path / "config.flags").write_text(f"# its settings\n{flag}\n")
    assert run(command, [f"--flagfile={tmp_path}/config.flags"]) == 2
    assert "config.flags:2: --" in (said := capsys.readouterr().err)
    assert "names code to execute, which no file may do" in said
