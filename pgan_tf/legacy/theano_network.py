"""Networks of the original's Theano version: objects of `network.Network`."""

import dataclasses
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pgan_tf.config import NetworkConfig
from pgan_tf.legacy.layout import Kind, layers
from pgan_tf.legacy.options import CHOICES, WITHOUT_STDDEV, Dialect, network_config
from pgan_tf.legacy.original_network import OriginalNetwork, checked_lod, checked_weights
from pgan_tf.networks.layer_table import LayerSpec
from tfrecords_tools.errors import UserError

CLASS = "network.Network"

_BUILDERS: dict[str, Kind] = {
    "G_paper": "generator",
    "G_progressive_8": "generator",
    "D_paper": "discriminator",
    "D_progressive_8": "discriminator",
}
# (fmap_base, fmap_max) where a file leaves them out: the defaults of the Theano version, and those
# of the TensorFlow version, which reads such files too. Where they differ, one fits the arrays.
_FEATURES = ((4096, 256), (8192, 512))
_DIALECT = Dialect(
    defaults={
        "num_channels": 1,
        "resolution": 32,
        "fmap_base": _FEATURES[0][0],
        "fmap_decay": 1.0,
        "fmap_max": _FEATURES[0][1],
        "latent_size": None,
        # Fixed in the Theano version: never fused, and stddev groups of 16.
        "fused_scale": False,
        "mbstd_group_size": 16,
    },
    choices={
        **CHOICES,
        "label_size": {0: {}},
        "tanh_at_end": {None: {}, 1.0: {"output_activation": "tanh"}},  # the factor of tanh
        "mbstat_avg": {"all": {}, None: WITHOUT_STDDEV},
    },
    # Files hold the scales, if there are any, as numbers; noise is added in training only.
    ignored=frozenset({"use_wscale", "use_gdrop"}),
)


def read_theano_network(state: Any, where: str) -> OriginalNetwork:
    """Read the state of one network.

    Args:
      state: the pickled state of the network object.
      where: the file, for error messages.

    Raises:
      UserError: it is not the state of a network, or of one that pgan_tf does not have.
    """
    spec, values, lod = _checked_state(state, where)
    options = dict(spec)
    builder = options.pop("func", None)
    if not isinstance(builder, str) or builder not in _BUILDERS:
        raise UserError(
            f"{where}: its builder must be {', '.join(_BUILDERS)}; another network than pgan_tf "
            f"has. Received: {reprlib.repr(builder)}"
        )
    where = f"{where}: {builder}"
    kind = _BUILDERS[builder]
    for name in ("fused_scale", "mbstd_group_size"):
        if name in options:  # an option of the TensorFlow version
            raise UserError(f"{where}: its option {name} is none of the Theano version's")
    scaled = bool(options.get("use_wscale", True))
    config = _fitting_config(kind, options, values, scaled, where)
    expected = (3 if scaled else 2) * len(layers(kind, config))
    if len(values) != expected:
        raise UserError(
            f"{where}: its param_values must be {expected} arrays for its options. "
            f"Received: {len(values)}"
        )
    remaining = iter(values)
    weights: dict[str, np.ndarray] = {}
    for name, layer in layers(kind, config).items():
        weights.update(_weights(layer, remaining, scaled, f"{where}: of layer {name}, the"))
    lod = checked_lod(lod, config, f"{where}: its cur_lod")
    return OriginalNetwork(kind, builder, "Theano", config, lod, weights)


def _checked_state(state: Any, where: str) -> tuple[Mapping[str, Any], list[Any], Any]:
    """Return the options, the arrays and the lod."""
    kinds = {"build_func_spec": dict, "param_values": (list, tuple), "toplevel_params": dict}
    if not isinstance(state, dict):
        raise UserError(f"{where}: a network without a state. Received: {type(state).__name__}")
    for key, kind in kinds.items():
        if not isinstance(state.get(key), kind):  # type: ignore[arg-type]
            received = reprlib.repr(list(state))
            raise UserError(f"{where}: a network without {key}. Received: {received}")
    lod = state["toplevel_params"].get("cur_lod", 0.0)
    return state["build_func_spec"], list(state["param_values"]), lod


def _fitting_config(
    kind: Kind, options: dict[str, Any], values: list[Any], scaled: bool, where: str
) -> NetworkConfig:
    """Return the configuration of `options`, with those defaults that fit the arrays."""
    configs = []
    for base, most in _FEATURES:
        defaults = {**_DIALECT.defaults, "fmap_base": base, "fmap_max": most}
        dialect = dataclasses.replace(_DIALECT, defaults=defaults)
        configs.append(network_config(options, dialect, where))
    kernels = values[:: 3 if scaled else 2]
    for config in configs:
        shapes = [_theano_shape(layer) for layer in layers(kind, config).values()]
        if shapes == [getattr(kernel, "shape", None) for kernel in kernels]:
            return config
    return configs[-1]  # reading the arrays raises the error


def _weights(
    layer: LayerSpec, values: Iterator[Any], scaled: bool, where: str
) -> dict[str, np.ndarray]:
    """Take one layer's arrays: its weights, their scale if they have one, and its bias."""
    kernel = checked_weights(next(values), _theano_shape(layer), f"{where} weights")
    if scaled:
        scale = next(values)
        shape = (1,) if isinstance(scale, np.ndarray) and scale.ndim else ()
        with np.errstate(over="ignore", invalid="ignore"):
            kernel = kernel * checked_weights(scale, shape, f"{where} scale")
    # Divided by our own scale, so that the weights in use are the same.
    with np.errstate(over="ignore"):
        stored = _in_our_layout(kernel, layer) / np.float32(layer.gain / layer.fan_in**0.5)
    stored = checked_weights(stored, layer.kernel_shape, f"{where} scaled weights")
    bias = checked_weights(next(values), (layer.features,), f"{where} bias")
    return {layer.kernel_name: stored, layer.bias_name: bias}


def _theano_shape(layer: LayerSpec) -> tuple[int, ...]:
    """Return the shape of a layer's weights in the file."""
    inputs, outputs = layer.kernel_shape[-2:]
    if layer.makes_images:
        return (outputs // 16, inputs, 4, 4)
    if _reads_images(layer):
        return (outputs, inputs // 16, 4, 4)
    if layer.kernel_shape[:-2] == (3, 3):
        return (outputs, inputs, 3, 3)
    return (inputs, outputs)  # 1x1 convolutions and the last dense layer


def _reads_images(layer: LayerSpec) -> bool:
    """Return whether it is the dense layer whose inputs are the feature maps of 4x4 pixels."""
    return layer.role == "hidden" and not (layer.is_convolution or layer.makes_images)


def _in_our_layout(kernel: np.ndarray, layer: LayerSpec) -> np.ndarray:
    # Theano convolves with flipped kernels, as mathematics has it, and stores outputs first.
    if layer.makes_images:
        # The kernel spreads one pixel of latents to 4x4: nothing to flip.
        kernel = kernel.transpose(1, 0, 2, 3)
    elif _reads_images(layer):
        # The kernel gathers a 4x4 image into one pixel.
        kernel = kernel[:, :, ::-1, ::-1].reshape(kernel.shape[0], -1).transpose()
    elif kernel.ndim == 4:
        kernel = kernel.transpose(2, 3, 1, 0)[::-1, ::-1]
    return kernel.reshape(layer.kernel_shape)
