"""This process's GPUs: their memory, and the arithmetic of float32."""

import contextlib
import ctypes
from collections.abc import Iterator

import tensorflow as tf


def let_gpu_memory_grow() -> int:
    """Have TensorFlow allocate GPU memory as it needs it; return the number of visible GPUs.

    By default it takes all memory at once: other programs get none, and peaks can't be measured.
    A process that has started TensorFlow's devices keeps its setting.
    """
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:
        # RuntimeError: the devices have started. ValueError: the caller has divided the GPU.
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)
    return len(gpus)


def free_gpu_memory() -> int | None:
    """Return the bytes of the first visible GPU that this process does not use yet.

    None if no GPU is visible, or its driver does not tell. What other processes use counts as free.
    """
    if not tf.config.list_logical_devices("GPU"):
        return None
    total = _first_gpu_memory()
    if total is None:
        return None
    return max(0, total - int(tf.config.experimental.get_memory_info("GPU:0")["current"]))


def has_gpu_memory_for(factor: float) -> bool:
    """Return whether the first visible GPU holds some times the most that has been used so far.

    True if no GPU is visible, or its driver does not tell.
    """
    if not tf.config.list_logical_devices("GPU"):
        return True
    total = _first_gpu_memory()
    peak = int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return total is None or factor * peak <= total


def _first_gpu_memory() -> int | None:
    """Return the bytes of the first GPU of CUDA_VISIBLE_DEVICES, as its driver tells."""
    device, size = ctypes.c_int(), ctypes.c_size_t()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        failed = (
            driver.cuInit(0)
            or driver.cuDeviceGet(ctypes.byref(device), 0)
            or driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
        )
    except (OSError, AttributeError):
        return None
    return None if failed else size.value


def set_tf32(setting: str) -> None:
    """Let GPUs compute float32 products in TF32, or forbid it, in the whole process.

    Args:
      setting: `on`, TensorFlow's default, or `off`.
    """
    tf.config.experimental.enable_tensor_float_32_execution(setting == "on")


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 products without TF32, to compare results with those of other programs."""
    was_on = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(was_on)
