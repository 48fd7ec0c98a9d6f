"""Memory for images that is used again, since fresh memory takes longer to get than to fill."""

import math
import weakref
from collections.abc import Sequence

import numpy as np

# Where TensorFlow takes memory over without copying it, and processors copy fastest.
ALIGNMENT = 64


class Buffers:
    """Hands out aligned arrays, and their memory once more when nothing refers to them any longer.

    Memory of one size is kept: that of the batches of one stage. Threads may share an instance.
    """

    def __init__(self) -> None:
        self._size = 0
        self._free: list[np.ndarray] = []

    def empty(self, shape: Sequence[int]) -> np.ndarray:
        """An array of uint8 of any values."""
        size = math.prod(shape)
        if size != self._size:
            self._size, self._free = size, []
        try:
            memory = self._free.pop()
        except IndexError:
            memory = _aligned(size)
        # From a memoryview, so that the memory belongs to no array that views would refer to in
        # place of this one.
        array = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(array, self._take_back, memory, size).atexit = False
        return array.reshape(shape)

    def _take_back(self, memory: np.ndarray, size: int) -> None:
        if size == self._size:
            self._free.append(memory)


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]
