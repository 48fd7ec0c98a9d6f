"""Writes network files as the original's two versions do, by classes of the same names."""

import contextlib
import io
import pickle
import struct
import sys
import types

import numpy as np

from tests.helpers.golden import GOLDEN

RGB = {"num_channels": 3, "resolution": 16, "label_size": 0, "fmap_base": 64, "fmap_max": 16}
GRAY_LABELS = {"num_channels": 1, "resolution": 8, "label_size": 3, "fmap_base": 64, "fmap_max": 8}
PYTHON_2 = "python 2"
BUILDERS = {"G": "G_paper", "D": "D_paper", "Gs": "G_paper"}


def tf_state(name, variables, options, *, lod=0.0, **changes):
    """The state of one `tfutil.Network`.

    Args:
      name: G, D or Gs.
      variables: arrays by the original's names.
      options: `static_kwargs`.
      lod: at which it was saved.
      changes: of any other key.
    """
    return {
        "version": 2,
        "name": name,
        "static_kwargs": dict(options),
        "build_module_src": "raise RuntimeError('executed')\n",
        "build_func_name": BUILDERS[name],
        "variables": [("lod", np.float32(lod)), *variables.items()],
        **changes,
    }


def golden_variables(file, network):
    """The weights of `G` or `D` in a file of golden numbers, under the original's names."""
    with np.load(GOLDEN / file) as arrays:
        prefix = f"{network}/"
        return {k[len(prefix) :]: arrays[k] for k in arrays if k.startswith(prefix)}


def golden_states(file="networks_16_rgb.npz", options=RGB, **changes):
    """(G, D, Gs) of a file of golden numbers, which are the EMA's; the raw G has half of each."""
    ema, discriminator = golden_variables(file, "G"), golden_variables(file, "D")
    raw = {name: 0.5 * array for name, array in ema.items()}
    return [
        tf_state("G", raw, options, **changes),
        tf_state("D", discriminator, options, **changes),
        tf_state("Gs", ema, options, **changes),
    ]


def write_network_file(path, states, *, module="tfutil", protocol=4, container=tuple):
    """Pickles networks whose class is gone afterwards.

    Args:
      path: of the file.
      states: one a network, or None for a place without one.
      module: of the class: tfutil or network.
      protocol: of pickle, or PYTHON_2 for how Python 2 pickles by protocol 2.
      container: what they are put into; None pickles the first by itself.
    """
    with _network_class(module) as network:
        objects = [None if state is None else network(state) for state in states]
        content = objects[0] if container is None else container(objects)
        path.write_bytes(_dumps(content, protocol))
    return path


@contextlib.contextmanager
def _network_class(module):
    class Network:
        def __init__(self, state):
            self._state = state

        def __getstate__(self):
            return self._state

        def __setstate__(self, state):
            raise AssertionError("the class was loaded")

    Network.__module__, Network.__qualname__ = module, "Network"
    assert module not in sys.modules
    sys.modules[module] = types.ModuleType(module)
    sys.modules[module].Network = Network
    try:
        yield Network
    finally:
        del sys.modules[module]


def _dumps(content, protocol):
    if protocol != PYTHON_2:
        return pickle.dumps(content, protocol)
    file = io.BytesIO()
    _Python2Pickler(file, 2).dump(content)
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.")


class _Python2Pickler(pickle._Pickler):
    """Text, names and the content of arrays are byte strings, as in Python 2."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def _save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        short = len(data) < 256
        head = b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data))
        self.write(head + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = _save_string
