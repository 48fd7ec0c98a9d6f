"""The layers of the original's networks: their names, in the original's order, and our layers."""

from typing import Literal

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import log2
from pgan_tf.networks.layer_table import LayerSpec, discriminator_layers, generator_layers

Kind = Literal["generator", "discriminator"]


def layers(kind: Kind, config: NetworkConfig) -> dict[str, LayerSpec]:
    """Return our layers by the original's names, in the order in which the original makes them.

    That order is the generator's from 4x4 up, then ToRGB from the full resolution down; the
    discriminator's from the full resolution down, each FromRGB before the block it leads into.

    A name is without `weight` or `bias`, as `8x8/Conv0`. Where the TensorFlow version fuses
    resampling into a layer, the name in its files has a suffix, which is left out here.

    Args:
      kind: the network.
      config: its shape.
    """
    if kind == "generator":
        table = generator_layers(config)
        ordered = [layer for layer in table if layer.role != "rgb"]
        ordered += [layer for layer in reversed(table) if layer.role == "rgb"]
    else:
        ordered = sorted(
            discriminator_layers(config), key=lambda x: (-x.resolution, x.role != "rgb")
        )
    return {_original_name(layer, config): layer for layer in ordered}


def _original_name(layer: LayerSpec, config: NetworkConfig) -> str:
    """Return `8x8/Conv0` for `8x8_conv0`, and `ToRGB_lod1` for the last but one `to_rgb_8x8`."""
    if layer.role == "rgb":
        direction, _, _ = layer.name.split("_")
        lod = config.resolution_log2 - log2(layer.resolution)
        return f"{direction.capitalize()}RGB_lod{lod}"
    block, name = layer.name.split("_")
    return f"{block}/{name.capitalize()}"
