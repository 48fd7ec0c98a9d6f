"""Memory that a generator takes in a browser, estimated before it is exported."""

import keras
import numpy as np
from absl import logging

from pgan_tf.exporting.onnx_file import upscaling_taps, weight_bytes
from tfrecords_tools.errors import UserError

# WebAssembly's addresses have 32 bits.
_LIMIT = 4 * 2**30
# Phones end pages that take more.
_MUCH = 2**30
# While ONNX Runtime loads a file, the file, its parsed copy and tensors made of it are in memory.
# Measured with version 1.30: 2.75 to 2.77 times the weights, for files of 83 to 369 MB.
_COPIES_OF_WEIGHTS = 2.77


def estimated_memory(model: keras.Model) -> int:
    """Return the bytes of WebAssembly's memory that a generator takes, for one image at a time.

    That is, the weights while they are loaded, and the largest layer's input, output and workspace:
    a transposed convolution on a CPU is a matrix product of k x k numbers for each of a quarter of
    its outputs, which are then summed. The estimates were 3 to 18% above what ONNX Runtime Web took
    for generators of 32x32 to 1024x1024 pixels.

    Args:
      model: a generator.
    """
    largest = max(map(_layer_numbers, model.layers))
    return round(_COPIES_OF_WEIGHTS * weight_bytes(model)) + 4 * largest


def check_memory(model: keras.Model) -> None:
    """Refuse a generator that WebAssembly can't hold; warn of one that phones can't.

    WebGPU keeps weights on the GPU, but loads them through the same memory, and not every browser
    has it.

    Args:
      model: a generator.

    Raises:
      UserError: it takes more than 4 GiB.
    """
    needed = estimated_memory(model)
    if needed > _LIMIT:
        raise UserError(
            f"--format=web: the generator takes about {needed / 2**30:.1f} GiB of memory in a "
            "browser, where WebAssembly has at most 4 GiB; --format=onnx is for other runtimes"
        )
    if needed > _MUCH:
        logging.warning(
            "the generator takes about %.1f GiB of memory in a browser; phones may refuse it",
            needed / 2**30,
        )


def _layer_numbers(layer: keras.layers.Layer) -> int:
    """Return the numbers in a layer's inputs, its output and its workspace, for one image."""
    output = _numbers(layer.output)
    inputs = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    return sum(map(_numbers, inputs)) + output + output * upscaling_taps(layer) // 4


def _numbers(tensor: keras.KerasTensor) -> int:
    return int(np.prod(tensor.shape[1:]))
