"""An NVIDIA GPU that is there, but that TensorFlow does not see: the reason, in one line."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from absl import logging

_PROBE = "import tensorflow as tf; tf.config.list_physical_devices('GPU')"
_PROBE_SECONDS = 120

# Messages of TensorFlow's start, the most telling first, each with a group to quote.
_REASONS = (
    re.compile(r"(Could not load dynamic library '[^']+')"),
    re.compile(r"(kernel version \S+ does not match DSO version \S+)"),
    re.compile(r"(failed call to cuInit: .*)"),
    re.compile(r"(Ignoring visible gpu device .*)"),
    re.compile(r"(Cannot dlopen some GPU libraries)"),
    re.compile(r"(Could not find cuda drivers on your machine)"),
)


def warn_of_unused_gpu(
    *, root: Path = Path("/"), ask_tensorflow: Callable[[], str] | None = None
) -> None:
    """Warn in one line if the machine has an NVIDIA GPU and TensorFlow sees none.

    Silent where `CUDA_VISIBLE_DEVICES` or the caller hides GPUs.

    Args:
      root: of the file system in which the driver is looked for.
      ask_tensorflow: returns what TensorFlow writes to stderr while it looks for GPUs; None for
        `messages_of_tensorflow`.
    """
    if tf.config.list_physical_devices("GPU") or _are_hidden():
        return
    if trace := _trace_of_gpu(root):
        messages = (ask_tensorflow or messages_of_tensorflow)()
        logging.warning(
            "%s tells of an NVIDIA GPU, but TensorFlow sees none and computes on the CPU: %s; see "
            "docs/guide/gpu.md, or set CUDA_VISIBLE_DEVICES=-1 to silence this line",
            trace,
            reason_in(messages),
        )


def _are_hidden() -> bool:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible is not None and visible.split(",")[0].strip() in ("", "-1", "NoDevFiles")


def _trace_of_gpu(root: Path) -> str | None:
    """Return what shows that an NVIDIA GPU, or its driver, is there; None if nothing does."""
    for name in ("dev/nvidia0", "proc/driver/nvidia/version"):
        if (root / name).exists():
            return f"/{name}"
    # Windows' subsystem for Linux: a GPU of any make, with NVIDIA's driver.
    if (root / "dev/dxg").exists() and (root / "usr/lib/wsl/lib/libcuda.so.1").exists():
        return "/dev/dxg"
    folders = os.pathsep.join(str(root / name) for name in ("usr/bin", "usr/local/bin"))
    return "nvidia-smi" if shutil.which("nvidia-smi", path=folders) else None


def messages_of_tensorflow() -> str:
    """Return what TensorFlow writes to stderr while a new process looks for GPUs.

    In this process, the messages are suppressed, and written only once.
    """
    # At level 0 it names the libraries that are missing.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    try:
        return subprocess.run(
            [sys.executable, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            env=environment,
            cwd=os.sep,  # nothing in the current directory is imported
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return ""


def reason_in(messages: str) -> str:
    """Return the most telling of TensorFlow's messages about GPUs."""
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow is built without CUDA"
    for reason in _REASONS:
        found = list(dict.fromkeys(match[1].strip() for match in reason.finditer(messages)))
        if found:
            return ", ".join(found)[:300]
    return "it gives no reason"
