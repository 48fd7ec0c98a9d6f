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


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs PYTHONSAFEPATH, new in Python 3.11")
def test_modules_beside_the_images_are_not_imported_by_worker_processes(tmp_path):
    for number in range(4):
        pixels = np.full((16, 16, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    for name in ("socket", "random", "json", "numpy", "multiprocessing"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w'); raise ImportError\n")
    code = (
        "import sys, tfrecords_tools.cli.prepare as prepare; sys.exit(prepare.main(sys.argv[1:]))"
    )
    arguments = ["--source=images", "--input=.", "--output=out", "--num_workers=2"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()


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
