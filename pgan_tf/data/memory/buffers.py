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
        # Replaced as one, so that threads that read different stages never mix their memory up.
        self._kept: tuple[int, list[np.ndarray]] = (0, [])

    def empty(self, shape: Sequence[int]) -> np.ndarray:
        """An array of uint8 of any values."""
        size = math.prod(shape)
        kept, free = self._kept
        if size != kept:
            free = []
            self._kept = (size, free)
        try:
            memory = free.pop()
        except IndexError:
            memory = _aligned(size)
        # From a memoryview, so that the memory belongs to no array that views would refer to in
        # place of this one.
        array = np.frombuffer(memory.data, np.uint8)
        # That of a stage that is past goes to a list that nobody looks at any longer.
        weakref.finalize(array, free.append, memory).atexit = False
        return array.reshape(shape)


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]
