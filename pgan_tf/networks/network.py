"""What the generator and the discriminator share."""

import zlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import BatchNorm, EqualizedConv2D, EqualizedDense, LayerNorm, WeightedSum
from pgan_tf.networks.hidden_layer import HiddenLayer, unchanged


class Network:
    """What both networks share: how layers are made, named, seeded and listed.

    Attributes:
      config: its shape.
      name: tells networks apart in checkpoints.
    """

    def __init__(self, config: NetworkConfig, *, norm: str, name: str, seed: int, dtype: Any):
        """
        Args:
          config: its shape.
          norm: how hidden layers are normalised before activations: "none", "layer" or "batch".
          name: see above; also seeds its weights.
          seed: of the initial weights.
          dtype: Keras dtype policy of every layer.
        """
        self.config = config
        self.name = name
        self._norm = norm
        self._seed = seed
        self._dtype = dtype
        self._parts: dict[str, keras.layers.Layer] = {}
        self._fade = WeightedSum(dtype=dtype, name="fade")

    def _add(self, layer: keras.layers.Layer, *input_shape: int | None) -> keras.layers.Layer:
        layer.build(input_shape)
        self._parts[layer.name] = layer
        return layer

    def _conv(self, name: str, inputs: int, filters: int, **kwargs: Any) -> keras.layers.Layer:
        layer = EqualizedConv2D(
            filters,
            fused=self.config.fuse_resampling,
            equalized=self.config.equalized_learning_rate,
            seed=self._layer_seed(name),
            dtype=self._dtype,
            name=name,
            **kwargs,
        )
        return self._add(layer, None, None, None, inputs)

    def _dense(self, name: str, inputs: int, units: int, **kwargs: Any) -> keras.layers.Layer:
        layer = EqualizedDense(
            units,
            equalized=self.config.equalized_learning_rate,
            seed=self._layer_seed(name),
            dtype=self._dtype,
            name=name,
            **kwargs,
        )
        return self._add(layer, None, inputs)

    def _hidden_conv(self, name: str, inputs: int, filters: int, **kwargs: Any) -> HiddenLayer:
        conv = self._conv(name, inputs, filters, use_bias=self._norm == "none", **kwargs)
        return HiddenLayer(name, conv, self._normalization(f"{name}_norm", filters), self._activate)

    def _normalization(self, name: str, features: int) -> Callable[..., tf.Tensor]:
        """What comes between weights and activation, and adds the bias; nothing for "none"."""
        if self._norm == "batch":
            return self._add(BatchNorm(dtype=self._dtype, name=name), None, features)
        if self._norm == "layer":
            layer = self._add(LayerNorm(dtype=self._dtype, name=name), None, features)
            return lambda x, **_: layer(x)  # each sample apart, whatever the minibatch
        return unchanged

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _layer_seed(self, name: str) -> int:
        # From the layer's name, so that adding a layer leaves the others' initial values as they
        # were.
        return (self._seed + zlib.crc32(f"{self.name}/{name}".encode())) % 2**31

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """Every variable of every resolution by name: `<layer>/kernel`, `<layer>/bias`, ..."""
        return {v.path: v for layer in self._parts.values() for v in layer.variables}

    @property
    def trainable_variables(self) -> dict[str, keras.Variable]:
        """Those that are trained by gradients: all but moving statistics."""
        return {path: v for path, v in self.variables.items() if v.trainable}

    def variables_at(self, resolution: int, *, fading: bool) -> list[keras.Variable]:
        """The variables that a call at this stage runs through, in creation order.

        Args:
          resolution: the stage's.
          fading: whether the call has an alpha, so that the lower resolution's RGB layer takes
            part.
        """
        blocks = tuple(f"{step}x{step}_" for step in self.config.resolutions if step <= resolution)
        rgb = {self._rgb_name(step) for step in (resolution, resolution // (1 + fading))}
        return [
            v
            for name, layer in self._parts.items()
            if name.startswith(blocks) or name in rgb
            for v in layer.variables
        ]

    def trainable_variables_at(self, resolution: int, *, fading: bool) -> list[keras.Variable]:
        """Those of `variables_at` that are trained by gradients."""
        return [v for v in self.variables_at(resolution, fading=fading) if v.trainable]

    def _rgb_name(self, resolution: int) -> str:
        raise NotImplementedError

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
