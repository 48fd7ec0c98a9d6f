"""The generator (appendix A, table 2): latents to images."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.layers import ChannelBias, LeakyReLU, PixelNorm, UpScale2D
from pgan_tf.networks.hidden_layer import HiddenLayer, identity
from pgan_tf.networks.layer_table import LayerSpec, generator_layers
from pgan_tf.networks.network import Network
from tfrecords_tools.shape import Base

# The layer that normalizes latents, in every generator. Truncation scales its output.
LATENT_NORM = "latent_norm"


class Generator(Network):
    """Latents (and labels) to images.

    Args:
      config: the shape of both networks; `resolution` must be known.
      name: of this generator in checkpoints; also seeds its weights.
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
        super().__init__(config, generator_layers(config), name=name, seed=seed, dtype=dtype)
        self._normalize_latents = self._make_latent_norm()
        self._leaky_relu = self._make_leaky_relu()
        self._pixel_norm = self._make_pixel_norm()
        self._output_activation = self._make_output_activation()
        self._upscale = UpScale2D(dtype=dtype, name="upscale")
        self._blocks: dict[int, list[HiddenLayer]] = {r: [] for r in config.resolutions}
        self._to_rgb: dict[int, keras.layers.Layer] = {}
        first, *others = self.layers
        self._base = self._make_base(first)
        for spec in others:
            if spec.role == "rgb":
                self._to_rgb[spec.resolution] = self._weighted(spec)
            else:
                self._blocks[spec.resolution].append(self._hidden_layer(spec))

    def _make_latent_norm(self) -> keras.layers.Layer:
        # A layer in any case, because truncation looks for it.
        if self.config.normalize_latents:
            epsilon = self.config.pixel_norm_epsilon
            return PixelNorm(epsilon, dtype=self._dtype, name=LATENT_NORM)
        return keras.layers.Identity(dtype=self._dtype, name=LATENT_NORM)

    def _make_leaky_relu(self) -> keras.layers.Layer:
        relu = self.config.generator_activation == "relu"
        negative_slope = 0.0 if relu else self.config.generator_leak
        return LeakyReLU(negative_slope, dtype=self._dtype, name="leaky_relu")

    def _make_pixel_norm(self) -> Callable[[tf.Tensor], tf.Tensor]:
        if self.config.generator_norm == "pixel":
            epsilon = self.config.pixel_norm_epsilon
            return PixelNorm(epsilon, dtype=self._dtype, name="pixel_norm")
        return identity

    def _make_output_activation(self) -> Callable[[tf.Tensor], tf.Tensor]:
        if self.config.output_activation == "tanh":
            return keras.layers.Activation("tanh", dtype=self._dtype, name="tanh")
        return identity

    def _make_base(self, spec: LayerSpec) -> HiddenLayer:
        """Create the first layer, `[b latents]` to `[b h w c]` of the base's height and width."""
        dense, base = self._weighted(spec), self.config.base
        add_bias: Callable[[tf.Tensor], tf.Tensor] = identity
        if spec.norm == "none":
            bias = ChannelBias(dtype=self._dtype, name=f"{spec.name}_bias")
            add_bias = self._add(bias, None, *base, spec.features)
        return self._hidden_layer(
            spec, lambda x: add_bias(_to_images(dense(x), base, spec.features))
        )

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        return self._pixel_norm(self._leaky_relu(x))

    def __call__(
        self,
        latents: tf.Tensor,
        labels: tf.Tensor | None = None,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Generate images at one stage.

        Args:
          latents: `[b latent_size]` float32, standard normal.
          labels: `[b label_size]` float32, one-hot; None where label_size is 0.
          resolution: of the stage.
          alpha: while the stage fades in, a scalar tensor in [0, 1], or a float that becomes a
            constant of a saved model; None afterwards.
          training: on: batch norm takes the statistics of this batch and adds them to its moving
            averages; off: it takes the averages, so that an image does not depend on the others.

        Returns:
          `[b h w channels]` float32, nominally in [-1, 1]; h, w of `NetworkConfig.image_size`.

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        self._check_stage(resolution, alpha)
        x = latents if labels is None else keras.ops.concatenate([latents, labels], axis=1)
        x = self._base(self._normalize_latents(x), training=training)
        for step in self.config.resolutions:
            if step > resolution:
                break
            before = x
            for layer in self._blocks[step]:
                x = layer(x, training=training)
        images = self._to_rgb[resolution](x)
        if alpha is not None:
            lower = self._upscale(self._to_rgb[resolution // 2](before))
            images = self._faded(lower, images, alpha)
        return keras.ops.cast(self._output_activation(images), "float32")


def _to_images(x: tf.Tensor, base: Base, features: int) -> tf.Tensor:
    """Reshape `[b features*h*w]` to `[b h w features]`; stored weights are in the order C, H, W."""
    x = keras.ops.reshape(x, [-1, features, *base])
    return keras.ops.transpose(x, [0, 2, 3, 1])
