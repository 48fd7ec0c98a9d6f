"""Networks of the original's TensorFlow version: objects of `tfutil.Network`."""

import reprlib
from typing import Any

import numpy as np

from pgan_tf.legacy.layout import Kind, layers
from pgan_tf.legacy.options import CHOICES, Dialect, network_config
from pgan_tf.legacy.original_network import OriginalNetwork, checked_lod, checked_weights
from pgan_tf.networks.layer_table import LayerSpec
from tfrecords_tools.errors import UserError

CLASS = "tfutil.Network"

_VERSION = 2
_BUILDERS: dict[str, Kind] = {"G_paper": "generator", "D_paper": "discriminator"}
_DIALECT = Dialect(
    defaults={
        "num_channels": 1,
        "resolution": 32,
        "label_size": 0,
        "fmap_base": 8192,
        "fmap_decay": 1.0,
        "fmap_max": 512,
        "latent_size": None,
        "fused_scale": True,
        "mbstd_group_size": 4,
        "pixelnorm_epsilon": 1e-8,
    },
    choices={**CHOICES, "use_wscale": {True: {}, False: {"equalized_learning_rate": False}}},
    # They change how the network was computed, not its result.
    ignored=frozenset({"dtype", "structure", "is_template_graph", "use_gdrop"}),
)
# Endings of layer names, by the resampling that is fused into the layer.
_FUSED_SUFFIXES = {"upscale": "_up", "downscale": "_down", None: ""}


def read_tf_network(state: Any, where: str) -> OriginalNetwork:
    """Read the state of one network.

    Args:
      state: the pickled state of the network object.
      where: the file, for error messages.

    Raises:
      UserError: it is not the state of a network, or of one that pgan_tf does not have.
    """
    state = _checked_state(state, where)
    name, builder, version = (state[key] for key in ("name", "build_func_name", "version"))
    if not isinstance(name, str) or not name.isprintable():
        raise UserError(
            f"{where}: a network's name must be printable text. Received: {reprlib.repr(name)}"
        )
    where = f"{where}: {name:.40}"
    if not isinstance(version, int) or version != _VERSION:
        raise UserError(
            f"{where}: its version must be {_VERSION}. Received: {reprlib.repr(version)}"
        )
    if not isinstance(builder, str) or builder not in _BUILDERS:
        raise UserError(
            f"{where}: its builder must be {' or '.join(_BUILDERS)}; another network than pgan_tf "
            f"has. Received: {reprlib.repr(builder)}"
        )
    kind = _BUILDERS[builder]
    config = network_config(state["static_kwargs"], _DIALECT, where)
    variables = _variables(state["variables"], where)
    lod = checked_lod(variables.pop("lod", 0.0), config, f"{where}: its variable lod")
    weights = {}
    for unfused_name, layer in layers(kind, config).items():
        fused = layer.resample if config.fused_scale else None
        original = unfused_name + _FUSED_SUFFIXES[fused]
        weights[layer.kernel_name] = _kernel(variables, original, layer, fused, where)
        weights[layer.bias_name] = _take(variables, f"{original}/bias", (layer.features,), where)
    if variables:
        raise UserError(
            f"{where}: it has variables that a network of its options has not. "
            f"Received: {', '.join(sorted(variables)):.200}"
        )
    return OriginalNetwork(kind, name, "TensorFlow", config, lod, weights)


def _checked_state(state: Any, where: str) -> dict[str, Any]:
    wanted = ("version", "name", "static_kwargs", "build_func_name", "variables")
    missing = [key for key in wanted if not isinstance(state, dict) or key not in state]
    if missing:
        received = reprlib.repr(list(state)) if isinstance(state, dict) else type(state).__name__
        raise UserError(
            f"{where}: a network without {', '.join(missing)}. Received: {received:.200}"
        )
    return state


def _variables(entries: Any, where: str) -> dict[str, Any]:
    if not isinstance(entries, (list, tuple)) or not all(
        isinstance(entry, (list, tuple)) and len(entry) == 2 and isinstance(entry[0], str)
        for entry in entries
    ):
        raise UserError(f"{where}: its variables must be a list of (name, array)")
    return dict(entries)


def _kernel(
    variables: dict[str, Any], original: str, layer: LayerSpec, fused: str | None, where: str
) -> np.ndarray:
    name = f"{original}/weight"
    if fused == "upscale":
        # The filter of a transposed convolution, which spreads where ours gathers: it is flipped,
        # and its channels are swapped.
        height, width, inputs, filters = layer.kernel_shape
        spread = _take(variables, name, (height, width, filters, inputs), where)
        return spread[::-1, ::-1].transpose(0, 1, 3, 2)
    return _take(variables, name, layer.kernel_shape, where)


def _take(variables: dict[str, Any], name: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    if name not in variables:
        raise UserError(f"{where}: a network of its options has a variable {name}; it has not")
    return checked_weights(variables.pop(name), shape, f"{where}: its variable {name}")
