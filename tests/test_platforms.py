"""Systems on which the packages don't work say so."""

import subprocess
import sys

import pytest


def on_windows(code, program="python"):
    """Runs code in a process that takes itself for one on Windows."""
    before = f"import sys; sys.argv = [{program!r}]; import os, importlib"
    prepared = f"{before}; sys.platform = 'win32'; {code}"
    return subprocess.run(
        [sys.executable, "-c", prepared], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("package", ["pgan_tf", "tfrecords_tools", "pgan_tf.cli.train"])
def test_windows_is_refused_at_import(package):
    result = on_windows(f"import {package}")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ImportError: pgan_tf needs Linux or macOS") and "WSL" in last


@pytest.mark.parametrize("module", ["pgan_tf.cli.train", "tfrecords_tools.cli.prepare"])
def test_a_command_says_so_in_one_line(module):
    result = on_windows(f"import {module}", program="/Scripts/pgan-train")
    assert result.returncode == 2
    assert result.stderr.startswith("error: pgan_tf needs Linux or macOS")
    assert result.stderr.count("\n") == 1
