"""Tensors that share the memory of arrays of images, where possible.

`tf.constant` copies an array, and once more if it isn't aligned, each time into fresh memory. From
an object with `__array__` that is no array it takes the memory without a copy. DLPack would share
memory too, but releases it in TensorFlow's own threads, which wait for the interpreter's lock; here
the reference is dropped the next time that Python calls TensorFlow.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pgan_tf.data.memory.buffers import ALIGNMENT, Buffers

# Fewer bytes are copied sooner than a buffer is found for them.
_LARGE_BYTES = 1 << 16

_buffers = Buffers()


def stacked_images(batches: Sequence[np.ndarray]) -> tf.Tensor:
    """Stack the images of several batches into a tensor on the device of the context.

    Args:
      batches: s arrays `[b c h w]`. Nothing may write to them afterwards: a tensor on the CPU
        shares the memory of a single array that is contiguous and aligned (see `Buffers`).

    Returns:
      `[s b c h w]` of the same type.
    """
    if sum(images.nbytes for images in batches) < _LARGE_BYTES:
        return tf.constant(np.stack(batches))
    stacked = batches[0][np.newaxis]
    shareable = stacked.flags.c_contiguous and stacked.ctypes.data % ALIGNMENT == 0
    if len(batches) > 1 or not shareable:
        stacked = _buffers.empty((len(batches), *batches[0].shape), batches[0].dtype)
        np.stack(batches, out=stacked)
    return tf.constant(_Offer(stacked))


class _Offer:
    """An object whose `__array__` is the array itself, without a copy."""

    def __init__(self, array: np.ndarray):
        self._array = array

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self._array
