"""What the generator and the discriminator share."""

import zlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2
from pgan_tf.layers import EqualizedConv2D, EqualizedDense, WeightedSum

LEAK = 0.2


class Network:
    """What both networks share: how layers are made, named, seeded and listed.

    Attributes:
      config: its shape.
      name: tells networks apart in checkpoints.
    """

    def __init__(self, config: NetworkConfig, *, name: str, seed: int, dtype: Any):
        self.config = config
        self.name = name
        self._seed = seed
        self._dtype = dtype
        self._parts: dict[str, keras.layers.Layer] = {}
        self._activate = keras.layers.LeakyReLU(negative_slope=LEAK, dtype=dtype, name="leaky_relu")
        self._fade = WeightedSum(dtype=dtype, name="fade")

    def _add(self, layer: keras.layers.Layer, *input_shape: int | None) -> keras.layers.Layer:
        layer.build(input_shape)
        self._parts[layer.name] = layer
        return layer

    def _conv(self, name: str, inputs: int, filters: int, **kwargs: Any) -> keras.layers.Layer:
        layer = EqualizedConv2D(
            filters,
            fused=self.config.fuse_resampling,
            seed=self._layer_seed(name),
            dtype=self._dtype,
            name=name,
            **kwargs,
        )
        return self._add(layer, None, None, None, inputs)

    def _dense(self, name: str, inputs: int, units: int, **kwargs: Any) -> keras.layers.Layer:
        layer = EqualizedDense(
            units, seed=self._layer_seed(name), dtype=self._dtype, name=name, **kwargs
        )
        return self._add(layer, None, inputs)

    def _layer_seed(self, name: str) -> int:
        # From the layer's name, so that adding a layer leaves the others' initial values as they
        # were.
        return (self._seed + zlib.crc32(f"{self.name}/{name}".encode())) % 2**31

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """Every weight of every resolution by name: `<layer>/kernel`, `<layer>/bias`."""
        return {v.path: v for layer in self._parts.values() for v in layer.variables}

    def variables_at(self, resolution: int, *, fading: bool) -> list[keras.Variable]:
        """The weights that a call at this stage runs through, in creation order.

        Args:
          resolution: the stage's.
          fading: whether the call has an alpha, so that the lower resolution's RGB layer takes
            part.
        """
        active = set(self._layers_at(resolution, fading=fading))
        return [v for name, layer in self._parts.items() if name in active for v in layer.variables]

    def _layers_at(self, resolution: int, *, fading: bool) -> Iterator[str]:
        yield from (name for name in self._parts if name.startswith("4x4_"))
        for step in self.config.resolutions[1:]:
            if step <= resolution:
                yield from (f"{step}x{step}_conv0", f"{step}x{step}_conv1")
        yield self._rgb_name(resolution)
        if fading:
            yield self._rgb_name(resolution // 2)

    def _rgb_name(self, resolution: int) -> str:
        raise NotImplementedError

    def _features(self, resolution: int) -> int:
        """Feature maps of the layers at `resolution`: nf(log2(resolution) - 1)."""
        return self.config.features(log2(resolution) - 1)

    def _faded(self, old: tf.Tensor, new: tf.Tensor, alpha: tf.Tensor | float) -> tf.Tensor:
        """What a stage that fades in gives: the old at alpha 0, the new at 1."""
        if isinstance(alpha, float):
            return WeightedSum(alpha, dtype=self._dtype, name="fade")([old, new])
        return self._fade([old, new, alpha])

    def _check_stage(self, resolution: int, alpha: Any) -> None:
        if resolution not in self.config.resolutions:
            raise ValueError(
                f"resolution must be one of {self.config.resolutions}. Received: {resolution}"
            )
        if alpha is not None and resolution == MIN_RESOLUTION:
            raise ValueError(f"{MIN_RESOLUTION}x{MIN_RESOLUTION} has no fade. Received: {alpha=}")
