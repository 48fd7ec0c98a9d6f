"""The generator and the discriminator (appendix A, table 2), assembled from shared layers.

Both create every layer of every resolution at once. A stage of training only selects which of them
a call runs through: `resolution` says how far, `alpha` whether the last step is fading in. So
growing never changes the state, and nothing else needs to know that it happens.

Tensors are NHWC; images are in [-1, 1].
"""

import zlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2
from pgan_tf.layers import (
    ChannelBias,
    DownScale2D,
    EqualizedConv2D,
    EqualizedDense,
    MinibatchStdDev,
    PixelNorm,
    UpScale2D,
    WeightedSum,
)

LEAK = 0.2


class _Network:
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


class Generator(_Network):
    """Latents (and labels) to images.

    Args:
      config: its shape; `resolution` must be known.
      name: tells this generator apart in checkpoints; also seeds its weights.
      seed: of the initial weights.
      dtype: Keras dtype policy of every layer.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        name: str = "generator",
        seed: int = 0,
        dtype: Any = "float32",
    ):
        super().__init__(config, name=name, seed=seed, dtype=dtype)
        self._latent_norm = PixelNorm(dtype=dtype, name="latent_norm")
        self._norm = PixelNorm(dtype=dtype, name="pixel_norm")
        self._upscale = UpScale2D(dtype=dtype, name="upscale")
        features = self._features(MIN_RESOLUTION)
        inputs = config.resolved_latent_size + config.label_size
        # The dense layer's gain is sqrt(2) / 4, to match the original Theano implementation.
        self._base_dense = self._dense(
            "4x4_dense", inputs, features * 16, gain=2**0.5 / 4, use_bias=False
        )
        self._base_bias = self._add(
            ChannelBias(dtype=dtype, name="4x4_dense_bias"), None, 4, 4, features
        )
        self._base_conv = self._conv("4x4_conv", features, features)
        self._to_rgb = {MIN_RESOLUTION: self._make_to_rgb(MIN_RESOLUTION)}
        self._blocks = {}
        for resolution in config.resolutions[1:]:
            prefix, filters = f"{resolution}x{resolution}", self._features(resolution)
            self._blocks[resolution] = (
                self._conv(f"{prefix}_conv0", features, filters, resample="upscale"),
                self._conv(f"{prefix}_conv1", filters, filters),
            )
            self._to_rgb[resolution] = self._make_to_rgb(resolution)
            features = filters

    def _make_to_rgb(self, resolution: int) -> keras.layers.Layer:
        features, name = self._features(resolution), self._rgb_name(resolution)
        return self._conv(name, features, self.config.channels, kernel_size=1, gain=1.0)

    def _rgb_name(self, resolution: int) -> str:
        return f"to_rgb_{resolution}x{resolution}"

    def __call__(
        self,
        latents: tf.Tensor,
        labels: tf.Tensor | None = None,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
    ) -> tf.Tensor:
        """Generates images at one stage.

        Args:
          latents: `[b latent_size]` float32, standard normal.
          labels: `[b label_size]` float32, one-hot; None where label_size is 0.
          resolution: the stage's.
          alpha: a scalar tensor in [0, 1] while the stage fades in, or a float to be baked into a
            model that is saved; None once it has.

        Returns:
          `[b resolution resolution channels]` float32, nominally in [-1, 1].

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        self._check_stage(resolution, alpha)
        features = self._features(MIN_RESOLUTION)
        x = latents if labels is None else keras.ops.concatenate([latents, labels], axis=1)
        x = self._base_dense(self._latent_norm(x))
        x = keras.ops.reshape(x, [-1, features, 4, 4])  # [b c 4 4], the order of stored weights
        x = self._base_bias(keras.ops.transpose(x, [0, 2, 3, 1]))  # [b 4 4 c]
        x = self._norm(self._activate(x))
        x = self._norm(self._activate(self._base_conv(x)))
        before = x
        for step in self.config.resolutions[1:]:
            if step > resolution:
                break
            before = x
            conv0, conv1 = self._blocks[step]
            x = self._norm(self._activate(conv0(x)))
            x = self._norm(self._activate(conv1(x)))
        images = self._to_rgb[resolution](x)
        if alpha is not None:
            lower = self._upscale(self._to_rgb[resolution // 2](before))
            images = self._faded(lower, images, alpha)
        return keras.ops.cast(images, "float32")


class Discriminator(_Network):
    """Images to scores (and label logits).

    Args:
      config: its shape; `resolution` must be known.
      name: tells this discriminator apart in checkpoints; also seeds its weights.
      seed: of the initial weights.
      dtype: Keras dtype policy of every layer.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        name: str = "discriminator",
        seed: int = 0,
        dtype: Any = "float32",
    ):
        super().__init__(config, name=name, seed=seed, dtype=dtype)
        self._downscale = DownScale2D(dtype=dtype, name="downscale")
        self._from_rgb = {}
        self._blocks = {}
        downscale = "downscale" if config.fused_scale else None
        for resolution in reversed(config.resolutions):
            prefix, features = f"{resolution}x{resolution}", self._features(resolution)
            rgb_name = self._rgb_name(resolution)
            self._from_rgb[resolution] = self._conv(
                rgb_name, config.channels, features, kernel_size=1
            )
            if resolution > MIN_RESOLUTION:
                filters = self._features(resolution // 2)
                self._blocks[resolution] = (
                    self._conv(f"{prefix}_conv0", features, features),
                    self._conv(f"{prefix}_conv1", features, filters, resample=downscale),
                )
        features = self._features(MIN_RESOLUTION)
        self._stddev = MinibatchStdDev(config.stddev_group_size, dtype=dtype, name="stddev")
        self._base_conv = self._conv("4x4_conv", features + 1, features)
        self._base_dense0 = self._dense("4x4_dense0", features * 16, config.features(0))
        self._base_dense1 = self._dense(
            "4x4_dense1", config.features(0), 1 + config.label_size, gain=1.0
        )

    def _rgb_name(self, resolution: int) -> str:
        return f"from_rgb_{resolution}x{resolution}"

    def __call__(
        self,
        images: tf.Tensor,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        parts: int = 1,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Judges images at one stage.

        Args:
          images: `[b resolution resolution channels]` float32 in [-1, 1].
          resolution: the stage's.
          alpha: a scalar tensor in [0, 1] while the stage fades in, or a float to be baked into a
            model that is saved; None once it has.
          parts: how many minibatches of one size the images are, one after the other; what is
            taken over a minibatch is taken of each apart.

        Returns:
          Scores `[b]` float32, higher for reals, and label logits `[b label_size]` float32, None
          where label_size is 0.

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        self._check_stage(resolution, alpha)
        x = self._activate(self._from_rgb[resolution](images))
        for step in reversed(self.config.resolutions[1:]):
            if step > resolution:
                continue
            x = self._downscaling_block(x, step)
            if step == resolution and alpha is not None:
                lower = self._activate(self._from_rgb[step // 2](self._downscale(images)))
                x = self._faded(lower, x, alpha)
        x = self._activate(self._base_conv(self._stddev(x, parts=parts)))
        x = keras.ops.transpose(x, [0, 3, 1, 2])  # [b c 4 4], the order of stored weights
        x = keras.ops.reshape(x, [-1, x.shape[1] * 16])
        x = self._base_dense1(self._activate(self._base_dense0(x)))
        x = keras.ops.cast(x, "float32")
        return x[:, 0], x[:, 1:] if self.config.label_size else None

    def _downscaling_block(self, x: tf.Tensor, resolution: int) -> tf.Tensor:
        conv0, conv1 = self._blocks[resolution]
        x = conv1(self._activate(conv0(x)))
        if self.config.fused_scale:
            return self._activate(x)  # conv1 has downscaled
        return self._downscale(self._activate(x))
