"""Which layers the original's networks have, under its names and under ours."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2

Kind = Literal["generator", "discriminator"]

_RELU = math.sqrt(2.0)
_LINEAR = 1.0
_FIRST_DENSE = "4x4/Dense"


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
      original: the original's name without `weight` or `bias`, as `8x8/Conv0`; of a layer that
        resamples, the name it has where that is not fused into it.
      kernel, bias: our names, as `8x8_conv0/kernel`.
      shape: of the kernel as we store it: `[3 3 in out]`, `[1 1 in out]` or `[in out]`.
      gain: He's constant.
      resample: "upscale" or "downscale", where the original may fuse either into the layer.
    """

    original: str
    kernel: str
    bias: str
    shape: tuple[int, ...]
    gain: float = _RELU
    resample: Literal["upscale", "downscale"] | None = None

    @property
    def fan_in(self) -> int:
        """Inputs of each output."""
        return math.prod(self.shape[:-1])

    @property
    def makes_images(self) -> bool:
        """Whether it is the first dense layer, whose outputs are 4x4 images."""
        return self.original == _FIRST_DENSE

    @property
    def bias_size(self) -> int:
        """Components of its bias: one a feature."""
        return self.shape[-1] // (16 if self.makes_images else 1)


def layers(kind: Kind, config: NetworkConfig) -> list[Layer]:
    """The layers in the order in which the original makes them.

    That is the generator's from 4x4 up, then toRGB from the full resolution down; the
    discriminator's from the full resolution down, each fromRGB before the block it leads into.

    Args:
      kind: which network.
      config: its shape.
    """
    make = _generator_layers if kind == "generator" else _discriminator_layers
    return list(make(config))


def _generator_layers(config: NetworkConfig) -> Iterator[Layer]:
    features = config.features(1)
    inputs = config.resolved_latent_size + config.label_size
    yield Layer(
        _FIRST_DENSE,
        "4x4_dense/kernel",
        "4x4_dense_bias/bias",  # a layer of its own, since it is added to an image
        (inputs, features * 16),
        gain=_RELU / 4,
    )
    yield _conv("4x4", "Conv", features, features)
    for resolution in config.resolutions[1:]:
        block, filters = f"{resolution}x{resolution}", _features(config, resolution)
        yield _conv(block, "Conv0", features, filters, resample="upscale")
        yield _conv(block, "Conv1", filters, filters)
        features = filters
    for resolution in reversed(config.resolutions):
        shape = (1, 1, _features(config, resolution), config.channels)
        yield _rgb("To", config, resolution, shape, gain=_LINEAR)


def _discriminator_layers(config: NetworkConfig) -> Iterator[Layer]:
    for resolution in reversed(config.resolutions):
        block, features = f"{resolution}x{resolution}", _features(config, resolution)
        yield _rgb("From", config, resolution, (1, 1, config.channels, features))
        if resolution > MIN_RESOLUTION:
            filters = _features(config, resolution // 2)
            yield _conv(block, "Conv0", features, features)
            yield _conv(block, "Conv1", features, filters, resample="downscale")
    features, units = config.features(1), config.features(0)
    yield _conv("4x4", "Conv", features + config.stddev_features, features)
    yield _dense("Dense0", features * 16, units)
    yield _dense("Dense1", units, 1 + config.label_size, gain=_LINEAR)


def _features(config: NetworkConfig, resolution: int) -> int:
    return config.features(log2(resolution) - 1)


def _conv(
    block: str,
    name: str,
    inputs: int,
    filters: int,
    resample: Literal["upscale", "downscale"] | None = None,
) -> Layer:
    ours = f"{block}_{name.lower()}"
    shape = (3, 3, inputs, filters)
    return Layer(f"{block}/{name}", f"{ours}/kernel", f"{ours}/bias", shape, resample=resample)


def _dense(name: str, inputs: int, units: int, gain: float = _RELU) -> Layer:
    ours = f"4x4_{name.lower()}"
    return Layer(f"4x4/{name}", f"{ours}/kernel", f"{ours}/bias", (inputs, units), gain)


def _rgb(
    direction: Literal["To", "From"],
    config: NetworkConfig,
    resolution: int,
    shape: tuple[int, ...],
    gain: float = _RELU,
) -> Layer:
    lod = config.resolution_log2 - log2(resolution)
    ours = f"{direction.lower()}_rgb_{resolution}x{resolution}"
    return Layer(f"{direction}RGB_lod{lod}", f"{ours}/kernel", f"{ours}/bias", shape, gain)
