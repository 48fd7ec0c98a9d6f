"""Memory for images that is used again: fresh memory takes longer to allocate than to fill."""

import math
import weakref
from collections.abc import Sequence

import numpy as np

# In bytes. TensorFlow uses memory aligned so without copying it, and processors copy it fastest.
ALIGNMENT = 64


class Buffers:
    """Aligned arrays, whose memory is used again once nothing refers to them.

    Memory of one size is kept: that of the batches of one stage. Threads may share an instance.
    """

    def __init__(self) -> None:
        # The size and its free memory. They are replaced together, so that threads that read
        # different stages never mix them up.
        self._kept: tuple[int, list[np.ndarray]] = (0, [])

    def empty(self, shape: Sequence[int], dtype: np.dtype | type = np.uint8) -> np.ndarray:
        """Return an array with arbitrary values."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        kept, free = self._kept
        if size != kept:
            free = []
            self._kept = (size, free)
        try:
            memory = free.pop()
        except IndexError:
            memory = _aligned(size)
        # From a memoryview, so that views refer to this array and not to the one that owns memory.
        array = np.frombuffer(memory.data, dtype)
        # Memory of an earlier stage goes to a list that is no longer used, and is freed with it.
        weakref.finalize(array, free.append, memory).atexit = False
        return array.reshape(shape)


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]
