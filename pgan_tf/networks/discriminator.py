"""The discriminator (appendix A, table 2): images to scores."""

from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import DownScale2D, LeakyReLU, MinibatchDiscrimination, MinibatchStdDev
from pgan_tf.networks.hidden_layer import unchanged
from pgan_tf.networks.network import Network

LEAK = 0.2


class Discriminator(Network):
    """Images to scores (and label logits).

    Args:
      config: its shape; `resolution` must be known.
      name: tells this discriminator apart in checkpoints; also seeds its weights.
      seed: of the initial weights.
      dtype: Keras dtype policy of every layer.

    Attributes:
      discrimination: the layer of minibatch discrimination, where the network has one.
    """

    discrimination: MinibatchDiscrimination | None = None

    def __init__(
        self,
        config: NetworkConfig,
        *,
        name: str = "discriminator",
        seed: int = 0,
        dtype: Any = "float32",
    ):
        super().__init__(config, norm=config.discriminator_norm, name=name, seed=seed, dtype=dtype)
        self._leaky_relu = LeakyReLU(LEAK, dtype=dtype, name="leaky_relu")
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
                    self._hidden_conv(f"{prefix}_conv0", features, features),
                    self._hidden_conv(f"{prefix}_conv1", features, filters, resample=downscale),
                )
        features = self._features(MIN_RESOLUTION)
        # At most one of the two compares the images of a minibatch.
        self._stddev = self._discriminate = unchanged
        if config.minibatch_features == "stddev":
            self._stddev = MinibatchStdDev(config.stddev_group_size, dtype=dtype, name="stddev")
        self._base_conv = self._hidden_conv("4x4_conv", features + config.stddev_features, features)
        top = config.features(0)
        self._base_dense0 = self._hidden_dense("4x4_dense0", features * 16, top)
        if config.minibatch_features == "discrimination":
            self._discriminate = self.discrimination = self._make_discrimination(top)
        self._base_dense1 = self._dense(
            "4x4_dense1", top + config.discrimination_features, 1 + config.label_size, gain=1.0
        )

    def _make_discrimination(self, inputs: int) -> keras.layers.Layer:
        name = "4x4_discrimination"
        layer = MinibatchDiscrimination(
            self.config.discrimination_kernels,
            self.config.discrimination_dims,
            seed=self._layer_seed(name),
            dtype=self._dtype,
            name=name,
        )
        return self._add(layer, None, inputs)

    def _rgb_name(self, resolution: int) -> str:
        return f"from_rgb_{resolution}x{resolution}"

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        return self._leaky_relu(x)

    def __call__(
        self,
        images: tf.Tensor,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        parts: int = 1,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Judges images at one stage.

        Args:
          images: `[b resolution resolution channels]` float32 in [-1, 1].
          resolution: the stage's.
          alpha: a scalar tensor in [0, 1] while the stage fades in, or a float to be baked into a
            model that is saved; None once it has.
          parts: how many minibatches of one size the images are, one after the other; what is
            taken over a minibatch is taken of each apart.
          training: whether batch norm takes the statistics of each minibatch, and adds them to its
            moving averages; off: it takes those.

        Returns:
          Scores `[b]` float32, higher for reals, and label logits `[b label_size]` float32, None
          where label_size is 0.

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        x = self.features(
            images, resolution=resolution, alpha=alpha, parts=parts, training=training
        )
        x = self._base_dense1(self._discriminate(x, parts=parts))
        x = keras.ops.cast(x, "float32")
        return x[:, 0], x[:, 1:] if self.config.label_size else None

    def features(
        self,
        images: tf.Tensor,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        parts: int = 1,
        training: bool = False,
    ) -> tf.Tensor:
        """What the last layers judge by, `[b nf(0)]`; takes and raises what a call does."""
        self._check_stage(resolution, alpha)
        minibatch = {"training": training, "parts": parts}
        x = self._activate(self._from_rgb[resolution](images))
        for step in reversed(self.config.resolutions[1:]):
            if step > resolution:
                continue
            x = self._downscaling_block(x, step, minibatch)
            if step == resolution and alpha is not None:
                lower = self._activate(self._from_rgb[step // 2](self._downscale(images)))
                x = self._faded(lower, x, alpha)
        x = self._base_conv(self._stddev(x, parts=parts), **minibatch)
        x = keras.ops.transpose(x, [0, 3, 1, 2])  # [b c 4 4], the order of stored weights
        x = keras.ops.reshape(x, [-1, x.shape[1] * 16])
        return self._base_dense0(x, **minibatch)

    def _downscaling_block(
        self, x: tf.Tensor, resolution: int, minibatch: dict[str, Any]
    ) -> tf.Tensor:
        conv0, conv1 = self._blocks[resolution]
        x = conv1(conv0(x, **minibatch), **minibatch)
        return x if self.config.fused_scale else self._downscale(x)  # or conv1 has downscaled
