"""Exhausted memory, of a device or the host, in all the forms in which TensorFlow reports it."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from tfrecords_tools.errors import UserError

# TensorFlow raises the same class for files and messages.
_OTHER_RESOURCES = re.compile(
    r"no space left|disk quota|too many open files|larger than max|file too large", re.IGNORECASE
)

# Allocators, CUDA's driver and libraries report under several classes: InternalError, UnknownError,
# NotFoundError (cuDNN, when no algorithm's work space fits); and the class of another replica's
# error may be reported in its place. Keras turns some errors inside layers into RuntimeErrors.
_MEMORY = re.compile(
    r"out of memory"
    r"|\bOOM\b"
    r"|RESOURCE_EXHAUSTED"
    r"|failed to allocate"
    r"|memory exhausted"
    r"|exceeded memory limit"
    r"|CUDA_ERROR_OUT_OF_MEMORY"
    r"|cudaErrorMemoryAllocation"
    r"|STATUS_ALLOC_FAILED"  # cuDNN, cuBLAS, cuFFT, cuSolver, cuSparse
    r"|no algorithm worked"
    r"|no algorithm without scratch worked",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory, of a device or the host, is exhausted."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, tf.errors.OpError | RuntimeError):
        return False
    text = str(error)
    if _OTHER_RESOURCES.search(text):
        return False
    return isinstance(error, tf.errors.ResourceExhaustedError) or is_memory_message(text)


def is_memory_message(text: str) -> bool:
    """Return whether a message of TensorFlow or CUDA speaks of exhausted memory."""
    return _MEMORY.search(text) is not None


@contextlib.contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Raise a UserError in place of errors that mean exhausted memory.

    Args:
      advice: the flags that lower the memory, as a clause.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"out of memory: {advice}. {tensorflow_says(error)}") from error


def tensorflow_says(error: BaseException) -> str:
    """Return the line of an error that speaks of memory, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = next(filter(is_memory_message, lines), lines[0] if lines else type(error).__name__)
    return f"TensorFlow says: {telling[:200]}"
