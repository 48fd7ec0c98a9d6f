"""The base class of the generator and the discriminator."""

import zlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import BatchNorm, EqualizedConv2D, EqualizedDense, LayerNorm, WeightedSum
from pgan_tf.networks.hidden_layer import HiddenLayer, identity
from pgan_tf.networks.layer_table import LayerSpec, layers_at


class Network:
    """Makes, names, seeds and lists the layers of a network.

    Attributes:
      config: the shape of both networks.
      layers: the network's rows of the layer table, in the order of their creation.
      name: of this network in checkpoints.
    """

    def __init__(
        self,
        config: NetworkConfig,
        layers: tuple[LayerSpec, ...],
        *,
        name: str,
        seed: int,
        dtype: Any,
    ):
        """Prepare a network without layers; subclasses add them.

        Args:
          config: the shape of both networks.
          layers: the network's rows of the layer table.
          name: see above; also seeds the weights.
          seed: of the initial weights.
          dtype: Keras dtype policy of every layer.
        """
        self.config = config
        self.layers = layers
        self.name = name
        self._seed = seed
        self._dtype = dtype
        self._keras_layers: list[keras.layers.Layer] = []
        self._fade = WeightedSum(dtype=dtype, name="fade")

    def _add(self, layer: keras.layers.Layer, *input_shape: int | None) -> keras.layers.Layer:
        layer.build(input_shape)
        self._keras_layers.append(layer)
        return layer

    def _weighted(self, spec: LayerSpec) -> keras.layers.Layer:
        """Create the convolution or the dense layer of a row of the table."""
        *_, inputs, outputs = spec.kernel_shape
        options = {
            "gain": spec.gain,
            "use_bias": f"{spec.name}/bias" in spec.variables,
            "equalized": self.config.equalized_learning_rate,
            "seed": self._layer_seed(spec.name),
            "dtype": self._dtype,
            "name": spec.name,
        }
        if not spec.is_convolution:
            return self._add(EqualizedDense(outputs, **options), None, inputs)
        conv = EqualizedConv2D(
            outputs,
            kernel_size=spec.kernel_shape[0],
            resample=None if spec.activates_first else spec.resample,
            fused=self.config.fuse_resampling,
            **options,
        )
        return self._add(conv, None, None, None, inputs)

    def _hidden_layer(
        self, spec: LayerSpec, weighted: Callable[[tf.Tensor], tf.Tensor] | None = None
    ) -> HiddenLayer:
        """Create a hidden layer, or complete the one that `weighted` begins."""
        weighted = weighted or self._weighted(spec)
        return HiddenLayer(spec.name, weighted, self._normalization(spec), self._activate)

    def _normalization(self, spec: LayerSpec) -> Callable[..., tf.Tensor]:
        """Create the normalization between weights and activation, which adds the bias."""
        name = f"{spec.name}_norm"
        if spec.norm == "batch":
            return self._add(BatchNorm(dtype=self._dtype, name=name), None, spec.features)
        if spec.norm == "layer":
            layer = self._add(LayerNorm(dtype=self._dtype, name=name), None, spec.features)
            return lambda x, **_: layer(x)  # of each sample by itself, whatever the minibatch
        return identity

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _layer_seed(self, name: str) -> int:
        # From the layer's name, so that adding a layer leaves the initial values of the others.
        return (self._seed + zlib.crc32(f"{self.name}/{name}".encode())) % 2**31

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """Every variable of every resolution by name: `<layer>/kernel`, `<layer>/bias`, ..."""
        return {v.path: v for layer in self._keras_layers for v in layer.variables}

    @property
    def trainable_variables(self) -> dict[str, keras.Variable]:
        """The variables that gradients train: all but moving statistics."""
        return {path: v for path, v in self.variables.items() if v.trainable}

    def variables_at(self, resolution: int, *, fading: bool) -> list[keras.Variable]:
        """Return the variables that a call at a stage runs through, in creation order.

        Args:
          resolution: of the stage.
          fading: whether the call has an alpha, so that the lower resolution's RGB layer takes
            part.
        """
        variables = self.variables
        stage = layers_at(self.layers, resolution, fading=fading)
        return [variables[name] for spec in stage for name in spec.variables]

    def trainable_variables_at(
        self, resolution: int, *, fading: bool, highest: int | None = None
    ) -> list[keras.Variable]:
        """Return the variables of `variables_at` that gradients train.

        Args:
          resolution: of the stage.
          fading: as for `variables_at`.
          highest: resolution of the highest layers that are trained; None: all are.
        """
        layers = [spec for spec in self.layers if highest is None or spec.resolution <= highest]
        names = {name for spec in layers for name in spec.variables}
        variables = self.variables_at(resolution, fading=fading)
        return [v for v in variables if v.trainable and v.path in names]

    def _faded(self, old: tf.Tensor, new: tf.Tensor, alpha: tf.Tensor | float) -> tf.Tensor:
        """Return `old` at alpha 0, `new` at 1, and the weighted sum between."""
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
