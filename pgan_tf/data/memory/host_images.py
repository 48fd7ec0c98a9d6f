"""Tensors of images in the memory that the images are in, where that can be.

`tf.constant` copies an array, and then once more if it isn't aligned, each time into fresh memory.
Of an object that only offers an array it takes the memory over. DLPack would do the same, but gives
memory back from TensorFlow's own threads, which wait for the interpreter then; here the reference
is dropped the next time that Python calls TensorFlow.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pgan_tf.data.memory.buffers import ALIGNMENT, Buffers

# Fewer bytes are copied sooner than memory for them is found.
_LARGE_BYTES = 1 << 16

_buffers = Buffers()


def stacked_images(batches: Sequence[np.ndarray]) -> tf.Tensor:
    """A tensor of the images of several batches, on the device of the context.

    Args:
      batches: s of them, `[b c h w]` uint8. Nothing may write to them any longer: a tensor on the
        CPU shares the memory of one that is alone, contiguous and aligned (`Buffers`).

    Returns:
      `[s b c h w]` uint8.
    """
    if sum(images.nbytes for images in batches) < _LARGE_BYTES:
        return tf.constant(np.stack(batches))
    stacked = batches[0][np.newaxis]
    shareable = stacked.flags.c_contiguous and stacked.ctypes.data % ALIGNMENT == 0
    if len(batches) > 1 or not shareable:
        stacked = _buffers.empty((len(batches), *batches[0].shape))
        np.stack(batches, out=stacked)
    return tf.constant(_Offer(stacked))


class _Offer:
    """Something that has an array's values and gives the array itself."""

    def __init__(self, array: np.ndarray):
        self._array = array

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self._array
