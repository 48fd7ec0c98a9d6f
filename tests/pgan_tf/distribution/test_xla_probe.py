"""Trials of XLA, by stand-ins for the child process and for TensorFlow's lists of GPUs."""

import json
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from pgan_tf.distribution import xla_probe
from pgan_tf.distribution.xla_probe import fault_of_xla, newest_capability, xla_works

PTX = "LLVM ERROR: PTX version 8.5 does not support target 'sm_120'. Minimum is 8.7"
ABORT = f"import os, sys; print({PTX!r}, file=sys.stderr, flush=True); os.abort()"


@pytest.fixture
def trial(tmp_path):
    """A function that tries XLA in a real child that runs other code; and the calls so far."""
    calls = []

    def call(code, *, gpu="RTX 5090, driver 590.48", version="2.21.0"):
        def run(command, **options):
            calls.append(command)
            return subprocess.run([sys.executable, "-c", code], **options)

        return fault_of_xla(gpu, tmp_path / "cache" / "xla.json", version=version, run=run)

    call.calls = calls
    return call


def test_a_child_that_ends_well_is_remembered(trial):
    assert trial("") == "" and trial(ABORT) == ""
    assert len(trial.calls) == 1


def test_a_child_that_aborts_is_remembered_with_its_last_words(trial):
    assert trial(ABORT) == PTX
    assert trial("") == PTX
    assert len(trial.calls) == 1


def test_another_tensorflow_gpu_or_driver_is_tried_anew(trial):
    assert trial(ABORT)
    assert trial("", version="2.22.0") == ""
    assert trial("", gpu="RTX 5090, driver 600.1") == ""
    assert trial("") and len(trial.calls) == 3


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import os; os.kill(os.getpid(), 11)", "it is ended by SIGSEGV"),
        ("raise SystemExit(7)", "exit code 7"),
        ("raise RuntimeError('No PTX compilation provider is available')",
         "RuntimeError: No PTX compilation provider is available"),
    ],
)  # fmt: skip
def test_other_faults(trial, code, fault):
    assert trial(code) == fault


def test_a_child_that_hangs_counts_as_a_fault_this_once(trial, monkeypatch):
    monkeypatch.setattr(xla_probe, "_SECONDS", 0.5)
    assert trial("import time; time.sleep(60)") == "no end after 0.5 s"
    assert trial("") == ""


def test_a_full_gpu_says_nothing_about_xla(trial):
    assert trial("raise RuntimeError('CUDA_ERROR_OUT_OF_MEMORY: out of memory')") == ""
    assert trial(ABORT) == PTX


def test_results_that_cant_be_read_or_kept_are_not_needed(tmp_path):
    (tmp_path / "xla.json").write_text("{broken")
    result = subprocess.CompletedProcess((), -signal.SIGABRT, "", "")
    run = lambda *args, **options: result  # noqa: E731
    assert fault_of_xla("GPU", tmp_path / "xla.json", run=run) == "it is ended by SIGABRT"
    (known,) = json.loads((tmp_path / "xla.json").read_text()).values()
    assert known == "it is ended by SIGABRT"
    (tmp_path / "file").touch()
    assert fault_of_xla("GPU", tmp_path / "file" / "xla.json", run=run) == known


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"], (9, 0)),
        (["sm_90a", "sm_100", "compute_120"], (12, 0)),
        ([], (0, 0)),
    ],
)
def test_the_newest_capability_of_a_build(names, newest):
    assert newest_capability({"cuda_compute_capabilities": names}) == newest


@pytest.fixture
def gpu(monkeypatch):
    """A function that makes TensorFlow see a GPU of some capability, with an XLA that fails."""
    build = {"cuda_compute_capabilities": ["sm_60", "compute_90"]}
    monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: build)
    monkeypatch.setattr(xla_probe, "fault_of_xla", lambda gpu, results: f"fault of {gpu}")
    monkeypatch.setattr(xla_probe, "_driver", lambda: "590.48")
    xla_works.cache_clear()

    def make(*capability):
        details = {"device_name": "NVIDIA X", "compute_capability": capability}
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)

    yield make
    xla_works.cache_clear()


@pytest.mark.parametrize("capability", [(6, 1), (8, 9), (9, 0)])
def test_gpus_that_tensorflow_has_code_for_are_not_tried(gpu, caplog, capability):
    gpu(*capability)
    assert xla_works() and not caplog.records


def test_a_newer_gpu_is_tried_and_the_fallback_said_once(gpu, caplog):
    gpu(12, 0)
    assert not xla_works() and not xla_works()
    (record,) = caplog.records
    assert record.getMessage() == (
        f"XLA of TensorFlow {tf.__version__} does not compile for NVIDIA X (fault of NVIDIA X, "
        "driver 590.48): training without it; --jit_compile=on tries all the same"
    )


@pytest.mark.slow
def test_the_childs_code_compiles_something(tmp_path):
    xla_probe.compile_something()
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    child = subprocess.run(xla_probe._COMMAND, env=environment, timeout=120, check=False)
    assert child.returncode == 0
