"""The original's network files: reading the networks in one, and telling them apart."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pgan_tf.legacy import tf_network, theano_network
from pgan_tf.legacy.original_network import OriginalNetwork
from tfrecords_tools.errors import UserError
from tfrecords_tools.safe_pickle import ForbiddenPickleError, Instance, load_plain
from tfrecords_tools.untrusted.regular_file import read_bytes

_READERS = {
    tf_network.CLASS: tf_network.read_tf_network,
    theano_network.CLASS: theano_network.read_theano_network,
}
_EMA_NAME = "Gs"
# Modules of later programs, which save other networks.
_STYLEGAN_MODULES = ("dnnlib", "torch_utils", "training")
# Several times the largest network file of the original.
_MAX_BYTES = 1 << 32
_ZIP = b"PK\x03\x04"


@dataclasses.dataclass(frozen=True)
class OriginalNetworks:
    """The networks in a file; None for those it lacks.

    Attributes:
      generator: `G`, as trained.
      discriminator: `D`.
      ema_generator: `Gs`, the moving average of `G`.
    """

    generator: OriginalNetwork | None
    discriminator: OriginalNetwork | None
    ema_generator: OriginalNetwork | None


def read_networks(path: Path) -> OriginalNetworks:
    """Read a network file of the original's TensorFlow or Theano version; execute nothing in it.

    Args:
      path: a pickle of `(G, D, Gs)`, some of them, or one of them.

    Raises:
      UserError: the file is missing, damaged, holds anything else or asks for code, or its networks
        have options that pgan_tf does not have.
    """
    if not path.is_file():
        raise UserError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    data = read_bytes(path, _MAX_BYTES)
    if data.startswith(_ZIP):
        raise UserError(
            f"{path}: a zip archive, such as PyTorch and Keras write; expected a network file "
            "(.pkl) of the original Progressive GAN"
        )
    try:
        content = load_plain(data, str(path), _READERS)
    except ForbiddenPickleError as error:
        if error.asked.split(".")[0] in _STYLEGAN_MODULES:
            raise UserError(
                f"{path}: networks of StyleGAN or a program like it, not of Progressive GAN. "
                f"Received: {error.asked}"
            ) from error
        raise
    del data
    networks = [
        _READERS[instance.class_name](instance.state, str(path))
        for instance in _instances(content, path)
    ]
    return _by_role(networks, path)


def _instances(content: Any, path: Path) -> list[Instance]:
    entries = list(content) if isinstance(content, (tuple, list)) else [content]
    instances = [entry for entry in entries if isinstance(entry, Instance)]
    others = [entry for entry in entries if not isinstance(entry, Instance) and entry is not None]
    if others or not instances:
        array = bool(others) and isinstance(others[0], np.ndarray)
        received = "an array" if array else type(others[0]).__name__ if others else "nothing"
        raise UserError(
            f"{path}: expected networks of the original, (G, D, Gs) or one of them. "
            f"Received: {received}"
        )
    return instances


def _by_role(networks: list[OriginalNetwork], path: Path) -> OriginalNetworks:
    generators = [network for network in networks if network.kind == "generator"]
    discriminators = [network for network in networks if network.kind == "discriminator"]
    if len(generators) > 2 or len(discriminators) > 1:
        raise UserError(
            f"{path}: expected at most (G, D, Gs). "
            f"Received: {', '.join(network.name for network in networks):.200}"
        )
    # By name, or, as the Theano version has no names, by position: the last.
    averages = [network for network in generators if network.name == _EMA_NAME]
    ema = averages[0] if averages else generators[1] if len(generators) == 2 else None
    raw = [network for network in generators if network is not ema]
    return OriginalNetworks(
        generator=raw[0] if raw else None,
        discriminator=discriminators[0] if discriminators else None,
        ema_generator=ema,
    )
