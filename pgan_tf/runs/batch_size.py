"""Batches of generated images that fit into the memory of the device that generates them."""

import os

import keras
import numpy as np

from pgan_tf.distribution.devices import free_gpu_memory
from tfrecords_tools.host import available_memory

_MEMORY_SHARE = 0.25
# Enough to keep all cores busy.
_MAX_HOST_BYTES = 4 * 2**30
# Output of a convolution, its activation, its square, and its norm: in float32.
_BYTES_PER_FEATURE = 4 * 4


def count_features(model: keras.Model) -> int:
    """Return the numbers in the outputs of all of a generator's convolutions, for one image."""
    return sum(
        int(np.prod(layer.output.shape[1:])) for layer in model.layers if hasattr(layer, "filters")
    )


def fitting_batch_size(features: int, *, most: int) -> int:
    """Return the images per batch that fit into a quarter of the free memory, from 1 to `most`.

    Args:
      features: numbers in the outputs of all convolutions, for one image.
      most: the largest batch.
    """
    on_gpu = free_gpu_memory()
    if on_gpu is None:
        budget = min(_MAX_HOST_BYTES, _MEMORY_SHARE * _free_host_memory())
    else:
        budget = _MEMORY_SHARE * on_gpu
    return int(np.clip(budget // (_BYTES_PER_FEATURE * features), 1, most))


def _free_host_memory() -> int:
    available = available_memory()
    if available is None:  # not Linux
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return available
