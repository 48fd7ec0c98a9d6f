"""The generator (appendix A, table 2): latents to images."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import ChannelBias, LeakyReLU, PixelNorm, UpScale2D
from pgan_tf.networks.hidden_layer import HiddenLayer, unchanged
from pgan_tf.networks.network import Network

# The layer that normalises latents, in every generator; truncation is what follows it.
LATENT_NORM = "latent_norm"


class Generator(Network):
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
        norm = "batch" if config.generator_norm == "batch" else "none"
        super().__init__(config, norm=norm, name=name, seed=seed, dtype=dtype)
        self._normalize_latents = self._make_latent_norm()
        self._nonlinearity = self._make_nonlinearity()
        self._pixel_norm = self._make_pixel_norm()
        self._finish = self._make_output_activation()
        self._upscale = UpScale2D(dtype=dtype, name="upscale")
        features = config.generator_features(MIN_RESOLUTION)
        inputs = config.resolved_latent_size + config.label_size
        # The dense layer's gain is sqrt(2) / 4, to match the original Theano implementation.
        self._base_dense = self._dense(
            "4x4_dense", inputs, features * 16, gain=2**0.5 / 4, use_bias=False
        )
        self._base_images = self._make_base_images(features)
        second = config.convs_per_resolution == 2
        base_conv = [self._hidden_conv("4x4_conv", features, features)] if second else []
        self._blocks = {MIN_RESOLUTION: base_conv}
        self._to_rgb = {MIN_RESOLUTION: self._make_to_rgb(MIN_RESOLUTION)}
        for resolution in config.resolutions[1:]:
            prefix, filters = f"{resolution}x{resolution}", config.generator_features(resolution)
            convs = [self._hidden_conv(f"{prefix}_conv0", features, filters, resample="upscale")]
            if second:
                convs.append(self._hidden_conv(f"{prefix}_conv1", filters, filters))
            self._blocks[resolution] = convs
            self._to_rgb[resolution] = self._make_to_rgb(resolution)
            features = filters

    def _make_latent_norm(self) -> keras.layers.Layer:
        # A layer in any case, because truncation is what follows it.
        if self.config.normalize_latents:
            epsilon = self.config.pixel_norm_epsilon
            return PixelNorm(epsilon, dtype=self._dtype, name=LATENT_NORM)
        return keras.layers.Identity(dtype=self._dtype, name=LATENT_NORM)

    def _make_nonlinearity(self) -> keras.layers.Layer:
        leak = self.config.generator_leak if self.config.generator_activation != "relu" else 0.0
        return LeakyReLU(leak, dtype=self._dtype, name="leaky_relu")

    def _make_pixel_norm(self) -> Callable[[tf.Tensor], tf.Tensor]:
        if self.config.generator_norm == "pixel":
            epsilon = self.config.pixel_norm_epsilon
            return PixelNorm(epsilon, dtype=self._dtype, name="pixel_norm")
        return unchanged

    def _make_output_activation(self) -> Callable[[tf.Tensor], tf.Tensor]:
        if self.config.output_activation == "tanh":
            return keras.layers.Activation("tanh", dtype=self._dtype, name="tanh")
        return unchanged

    def _make_base_images(self, features: int) -> HiddenLayer:
        """The rest of the first hidden layer, once its product is reshaped to 4x4 images."""
        if self._norm == "none":
            bias = ChannelBias(dtype=self._dtype, name="4x4_dense_bias")
            add_bias = self._add(bias, None, 4, 4, features)
        else:
            add_bias = unchanged
        normalize = self._normalization("4x4_dense_norm", features)
        return HiddenLayer("4x4_dense", add_bias, normalize, self._activate)

    def _make_to_rgb(self, resolution: int) -> keras.layers.Layer:
        features, size = self.config.generator_features(resolution), self.config.to_rgb_kernel_size
        name = self._rgb_name(resolution)
        return self._conv(name, features, self.config.channels, kernel_size=size, gain=1.0)

    def _rgb_name(self, resolution: int) -> str:
        return f"to_rgb_{resolution}x{resolution}"

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        return self._pixel_norm(self._nonlinearity(x))

    def __call__(
        self,
        latents: tf.Tensor,
        labels: tf.Tensor | None = None,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Generates images at one stage.

        Args:
          latents: `[b latent_size]` float32, standard normal.
          labels: `[b label_size]` float32, one-hot; None where label_size is 0.
          resolution: the stage's.
          alpha: a scalar tensor in [0, 1] while the stage fades in, or a float to be baked into a
            model that is saved; None once it has.
          training: whether batch norm takes the statistics of this batch, and adds them to its
            moving averages; off: it takes those, so that an image does not depend on the others.

        Returns:
          `[b resolution resolution channels]` float32, nominally in [-1, 1].

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        self._check_stage(resolution, alpha)
        features = self.config.generator_features(MIN_RESOLUTION)
        x = latents if labels is None else keras.ops.concatenate([latents, labels], axis=1)
        x = self._base_dense(self._normalize_latents(x))
        x = keras.ops.reshape(x, [-1, features, 4, 4])  # [b c 4 4], the order of stored weights
        x = keras.ops.transpose(x, [0, 2, 3, 1])  # [b 4 4 c]
        x = self._base_images(x, training=training)
        for step in self.config.resolutions:
            if step > resolution:
                break
            before = x
            for conv in self._blocks[step]:
                x = conv(x, training=training)
        images = self._to_rgb[resolution](x)
        if alpha is not None:
            lower = self._upscale(self._to_rgb[resolution // 2](before))
            images = self._faded(lower, images, alpha)
        return keras.ops.cast(self._finish(images), "float32")
