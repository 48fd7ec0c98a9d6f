"""How much memory a process uses: the host's, and each GPU's."""

import re
import resource
from pathlib import Path

import tensorflow as tf

_GIB = 2.0**30
_STATUS = Path("/proc/self/status")


def memory_figures() -> dict[str, float]:
    """Memory in use now, and at most since the process began, in GiB.

    Returns:
      `memory/host_gib` and `memory/host_peak_gib`, resident memory of this process (the former on
      Linux only), and `memory/gpu0_gib` and `memory/gpu0_peak_gib` for each GPU, as TensorFlow's
      allocator counts it.
    """
    figures = {f"memory/{name}": amount / _GIB for name, amount in _host().items()}
    for i in range(len(tf.config.list_logical_devices("GPU"))):
        info = tf.config.experimental.get_memory_info(f"GPU:{i}")
        figures[f"memory/gpu{i}_gib"] = info["current"] / _GIB
        figures[f"memory/gpu{i}_peak_gib"] = info["peak"] / _GIB
    return figures


def _host() -> dict[str, int]:
    """Bytes. Not by getrusage where it can be helped: on Linux that counts a parent's memory."""
    if not _STATUS.exists():
        return {"host_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    kib = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE))
    return {"host_gib": int(kib["VmRSS"]) * 1024, "host_peak_gib": int(kib["VmHWM"]) * 1024}
