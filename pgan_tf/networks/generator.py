"""The generator (appendix A, table 2): latents to images."""

from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import ChannelBias, PixelNorm, UpScale2D
from pgan_tf.networks.network import Network


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
