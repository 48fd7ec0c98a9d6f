"""`.keras` files of networks that others have saved: checked before Keras loads them.

Keras believes what a file claims: it gives memory to layers of any size before it looks for their
weights. And it reads the weights by HDF5, which can end the process on a damaged file. So the
weights are read in another process first, and the layers are built without memory first.
"""

import io
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tfrecords_tools.errors import UserError
from tfrecords_tools.extras import require
from tfrecords_tools.untrusted.isolated import run_isolated
from tfrecords_tools.untrusted.json_file import parse_object
from tfrecords_tools.untrusted.regular_file import open_regular
from tfrecords_tools.untrusted.zip_archive import open_keras_archive

if TYPE_CHECKING:
    import keras

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# Of one layer's output for one image: 64 times as much as in a generator of 1024x1024.
_MAX_VALUES = 1 << 30


def load_keras_file(path: str | os.PathLike) -> "keras.Model":
    """Load a network.

    Raises:
      UserError: it is not a `.keras` file, its archive or its weights are damaged, or its layers
        are larger than its weights, or larger than any network's.
      Exception: Keras's, of any kind, for a file that is damaged in another way.
    """
    import keras

    path = Path(path)
    with open_keras_archive(path) as archive:
        for name in (_CONFIG, _WEIGHTS):
            if name not in archive.namelist():
                raise UserError(f"{path}: not a .keras file: there is no {name} in it")
        config = parse_object(archive.read(_CONFIG), f"{path}: {_CONFIG} in it")
    stored = run_isolated(_count_weights, path)
    # In a thread of its own: in this one, Keras would give memory to these layers later.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_check_layers, config, stored, path).result()
    return keras.saving.load_model(path, compile=False)


def _check_layers(config: dict[str, Any], stored: int, path: Path) -> None:
    """Build the layers without memory, and compare their sizes.

    Args:
      config: of the network, which is used up.
      stored: the number of weights in the file.
      path: the file's.

    Raises:
      UserError: they are too large.
    """
    import keras

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        for output in keras.tree.flatten(outputs):
            _check_values(output, path)
        return outputs

    config["compile_config"] = None
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(config)
        claimed = sum(math.prod(variable.shape) for variable in network.weights)
        if claimed > stored:
            raise UserError(
                f"{path}: damaged: its layers claim to have {claimed} weights, of which it holds"
                f" {stored}"
            )
        if getattr(network, "inputs", None):
            for tensor in network.inputs:
                _check_values(tensor, path)
            functional = keras.Model(network.inputs, network.outputs)
            keras.models.clone_model(
                functional, clone_function=lambda layer: layer, call_function=call
            )


def _check_values(tensor: Any, path: Path) -> None:
    if math.prod(side or 1 for side in tensor.shape[1:]) > _MAX_VALUES:
        raise UserError(
            f"{path}: not a network that can be computed: one of its layers makes"
            f" {list(tensor.shape[1:])} values of an image"
        )


def count_weights(path: Path) -> int:
    """Read all weights of a `.weights.h5` file in another process, and return their number.

    Raises:
      UserError: there is no such file, or they are anything but numbers, all of which are in it.
    """
    try:
        return run_isolated(_count_weights_of_file, path)
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from error


def _count_weights_of_file(path: Path) -> int:
    with open_regular(path) as file:
        return _count_numbers(file, path.stat().st_size, str(path))


def _count_weights(path: Path) -> int:
    """Read all weights, and return their number; in another process, which may end by it."""
    with open_keras_archive(path) as archive:
        content = archive.read(_WEIGHTS)
    return _count_numbers(io.BytesIO(content), len(content), f"{path}: {_WEIGHTS} in it")


def _count_numbers(content: BinaryIO, size_of_file: int, name_of_file: str) -> int:
    """Read all arrays of an HDF5 file.

    Raises:
      UserError: they are anything but numbers, all of which are in this file.
    """
    h5py = require("h5py", "hdf5")
    count, size = 0, 0

    def read(name: str, item: Any) -> None:
        nonlocal count, size
        where = f"{name_of_file}: {name}"
        dict(item.attrs)
        if isinstance(item, h5py.Group):
            if any(type(item.get(key, getlink=True)) is not h5py.HardLink for key in item):
                raise UserError(f"{where}: must not refer to anything outside of it")
            return
        if item.external or item.is_virtual or item.dtype.kind not in "biuf":
            raise UserError(f"{where}: must be numbers in this file. Received: {item.dtype}")
        count += item.size
        size += item.nbytes
        if size > size_of_file:
            raise UserError(f"{where}: damaged: claims to be {item.dtype} {list(item.shape)}")
        item[()]

    with h5py.File(content, "r") as file:
        read("/", file)
        file.visititems(read)
    return count
