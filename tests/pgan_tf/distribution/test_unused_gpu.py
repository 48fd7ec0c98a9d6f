"""The line about a GPU that TensorFlow does not see, in made-up file systems."""

import pytest
import tensorflow as tf

from pgan_tf.distribution.unused_gpu import messages_of_tensorflow, reason_in, warn_of_unused_gpu

NO_LIBRARIES = """\
I0000 00:00:1748720218.610720 27 cuda_diagnostics.cc:1 hello
W0000 00:00:1748720218.61 27 dso_loader.cc:64] Could not load dynamic library 'libcudnn.so.9'; \
dlerror: libcudnn.so.9: cannot open shared object file: No such file or directory
W0000 00:00:1748720218.61 27 dso_loader.cc:64] Could not load dynamic library 'libcusolver.so.11'; \
dlerror: libcusolver.so.11: cannot open shared object file
W0000 00:00:1748720218.61 27 gpu_device.cc:2256] Cannot dlopen some GPU libraries. Please make sure
Skipping registering GPU devices...
"""
NO_DRIVER = """\
I0000 00:00:1795822190.202133 4490 cudart_stub.cc:31] Could not find cuda drivers on your machine, \
GPU will not be used.
E0000 00:00:1795822194.007014 4490 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA \
error: Failed call to cuInit: UNKNOWN ERROR (303)
"""


@pytest.fixture
def warn(tmp_path, monkeypatch, caplog):
    """A function that makes files of a machine; returns the warnings about it."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def call(*files, messages=NO_LIBRARIES):
        for name in files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch(mode=0o755)
        with caplog.at_level("WARNING"):
            warn_of_unused_gpu(root=tmp_path, ask_tensorflow=lambda: messages)
        return [record.getMessage() for record in caplog.records]

    return call


@pytest.mark.parametrize(
    ("files", "trace"),
    [
        (["dev/nvidia0"], "/dev/nvidia0"),
        (["proc/driver/nvidia/version"], "/proc/driver/nvidia/version"),
        (["dev/dxg", "usr/lib/wsl/lib/libcuda.so.1"], "/dev/dxg"),
        (["usr/bin/nvidia-smi"], "nvidia-smi"),
    ],
)
def test_a_gpu_that_is_not_used_is_told_in_one_line_with_the_reason(warn, files, trace):
    (line,) = warn(*files)
    assert line.startswith(
        f"{trace} tells of an NVIDIA GPU, but TensorFlow sees none and computes on the CPU: Could "
        "not load dynamic library 'libcudnn.so.9', Could not load dynamic library "
        "'libcusolver.so.11'; see docs/guide/gpu.md"
    )
    assert "\n" not in line


@pytest.mark.parametrize("files", [[], ["dev/dxg"], ["dev/nvidiactl"]])
def test_other_machines_are_silent(warn, files):
    assert warn(*files) == []


@pytest.mark.parametrize("hidden", ["", "-1", "-1,0", "NoDevFiles"])
def test_gpus_that_are_hidden_on_purpose_are_not_missed(warn, monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert warn("dev/nvidia0") == []


def test_a_gpu_chosen_by_number_is_missed(warn, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert len(warn("dev/nvidia0")) == 1


def test_a_gpu_that_tensorflow_sees_is_not_missed(warn, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    assert warn("dev/nvidia0") == []


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (NO_DRIVER, "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN "
                    "ERROR (303)"),
        (NO_DRIVER.splitlines()[0], "Could not find cuda drivers on your machine"),
        (NO_LIBRARIES.splitlines()[3], "Cannot dlopen some GPU libraries"),
        ("", "it gives no reason"),
    ],
)  # fmt: skip
def test_the_most_telling_message_is_quoted(messages, reason):
    assert reason_in(messages) == reason


def test_a_tensorflow_without_cuda_says_so(monkeypatch):
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: False)
    assert reason_in(NO_DRIVER) == "this TensorFlow is built without CUDA"


@pytest.mark.slow
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="for machines without one")
def test_tensorflow_is_asked_in_a_process_of_its_own():
    assert "cuda" in messages_of_tensorflow().lower()
