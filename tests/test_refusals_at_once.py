"""Mistakes that every command notices before it imports TensorFlow, which takes seconds."""

import subprocess
import sys

import pytest

CASES = {
    "network": ("generate", "--network={tmp}/none", "--output={tmp}/out"),
    "network of an export": (
        *("export", "--network={tmp}/none", "--output={tmp}/out", "--format=keras"),
    ),
    "network to project into": (
        *("project", "--network={tmp}/none", "--input={tmp}", "--output={tmp}/out"),
    ),
    "picture to project": (
        *("project", "--network={tmp}", "--input={tmp}/none", "--output={tmp}/out"),
    ),
    "network to evaluate": ("evaluate", "--network={tmp}/none"),
    "pyramid to compare with": ("evaluate", "--network={tmp}", "--data_dir={tmp}/none"),
    "pyramid": ("train", "--data_dir={tmp}/none", "--run_dir={tmp}/out"),
    "run to continue": ("train", "--run_dir={tmp}/none"),
}


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)
def test_a_path_that_leads_nowhere_is_refused_at_once(tmp_path, arguments):
    module, *rest = (argument.format(tmp=tmp_path) for argument in arguments)
    check = f"""
import sys
from pgan_tf.cli import {module}
assert {module}.main({rest!r}) == 2
assert "tensorflow" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "none" in result.stderr and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_noticed_at_once(tmp_path):
    (tmp_path / "data").mkdir()
    arguments = ["--source=synthetic", "--num_images=8", "--resolution=8"]
    check = f"""
import sys
from tfrecords_tools.cli import prepare
from pgan_tf.cli import train
assert prepare.main([*{arguments!r}, "--output={tmp_path}/data/shapes"]) == 0
sys.modules["wandb"] = None  # importing it fails
assert train.main(["--data_dir={tmp_path}/data/shapes", "--run_dir={tmp_path}/r", "--wandb"]) == 2
assert "tensorflow" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "pip install 'pgan_tf[wandb]'" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "r").exists()
