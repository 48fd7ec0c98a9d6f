"""Settings of this process's GPUs: their memory, and the arithmetic of float32."""

import contextlib
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
