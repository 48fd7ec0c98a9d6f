"""XLA tried on a GPU that this TensorFlow may not know, in a process that may be killed by it.

On GPUs newer than TensorFlow's release, XLA ends the process in which it compiles, and no exception
can be caught. So a child compiles first, once for each TensorFlow, GPU and driver; the result is
kept in the user's cache directory.
"""

import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from absl import logging

from pgan_tf.distribution.devices import let_gpu_memory_grow
from pgan_tf.distribution.out_of_memory import is_memory_message
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file
from tfrecords_tools.untrusted.json_file import read_object

_SECONDS = 180
_COMMAND = (sys.executable, "-m", "pgan_tf.distribution.xla_probe")


@functools.cache
def xla_works() -> bool:
    """Return whether XLA compiles for this machine's GPUs; warn in one line if it does not.

    It does for the GPUs that TensorFlow holds machine code for; others are tried.
    """
    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    newest_known = newest_capability(tf.sysconfig.get_build_info())
    unknown = [d for d in details if d.get("compute_capability", (0, 0)) > newest_known]
    if not unknown:
        return True
    name = unknown[0].get("device_name", "GPU")
    fault = fault_of_xla(f"{name}, driver {_driver()}", results_file())
    if fault:
        logging.warning(
            "XLA of TensorFlow %s does not compile for %s (%s): training without it; "
            "--jit_compile=on tries all the same",
            tf.__version__,
            name,
            fault,
        )
    return not fault


def newest_capability(build_info: dict) -> tuple[int, int]:
    """Return the newest compute capability that TensorFlow holds code for, such as (9, 0)."""
    names = build_info.get("cuda_compute_capabilities", ())
    found = [re.fullmatch(r"(?:sm|compute)_(\d+)(\d)a?", name) for name in names]
    return max(((int(m[1]), int(m[2])) for m in found if m), default=(0, 0))


def results_file() -> Path:
    """Return the file of the results, in the user's cache directory."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "pgan_tf" / "xla.json"


def fault_of_xla(
    gpu: str,
    results: Path,
    *,
    version: str = tf.__version__,
    run: Callable[..., subprocess.CompletedProcess] = subprocess.run,
) -> str:
    """Return what goes wrong when XLA compiles; empty if nothing does.

    Args:
      gpu: name of the GPU, with its driver.
      results: the file of earlier results, which may not exist.
      version: TensorFlow's.
      run: runs the child, as `subprocess.run`.
    """
    key = f"TensorFlow {version}, {gpu}"
    known = _read(results)
    if key in known:
        return known[key]
    paths = [os.path.abspath(entry) for entry in sys.path if entry]
    try:
        child = run(
            _COMMAND,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            # The child finds this package wherever this process has found it, and nothing in the
            # current directory.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=os.sep,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_SECONDS} s"  # perhaps the machine is busy: not kept
    if child.returncode and is_memory_message(child.stderr):
        return ""  # the GPU is full, which says nothing about XLA
    fault = _describe(child)
    _write(results, known | {key: fault})
    return fault


def _describe(child: subprocess.CompletedProcess) -> str:
    if not child.returncode:
        return ""
    lines = [line.strip() for line in child.stderr.splitlines() if line.strip()]
    said = next((line for line in lines if "PTX" in line or "LLVM" in line), "")
    if child.returncode < 0:
        return said or f"it is ended by {signal.Signals(-child.returncode).name}"
    return said or (lines[-1] if lines else f"exit code {child.returncode}")


def _read(results: Path) -> dict[str, str]:
    try:
        return {key: str(fault) for key, fault in read_object(results).items()}
    except (OSError, UserError):
        return {}


def _write(results: Path, known: dict[str, str]) -> None:
    try:
        results.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(results) as partial:
            partial.write_text(json.dumps(known, indent=2) + "\n")
    except OSError as error:
        logging.warning("%s can't be written, and XLA is tried again: %s", results, error)


def _driver(version_file: Path = Path("/proc/driver/nvidia/version")) -> str:
    try:
        match = re.search(r"\b\d+\.\d+(\.\d+)?\b", version_file.read_text())
    except OSError:
        return "unknown"
    return match[0] if match else "unknown"


def compile_something() -> None:
    """Compile a convolution with its gradient on the first GPU, or else on the CPU."""
    let_gpu_memory_grow()
    images, kernel = tf.ones([2, 8, 8, 4]), tf.ones([3, 3, 4, 4])

    @tf.function(jit_compile=True)
    def gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            total = tf.reduce_sum(tf.nn.leaky_relu(tf.nn.conv2d(images, kernel, 1, "SAME")))
        return tape.gradient(total, kernel)

    gradient().numpy()


if __name__ == "__main__":
    compile_something()
