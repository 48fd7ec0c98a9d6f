"""The discriminator (appendix A, table 2): images to scores."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import DownScale2D, LeakyReLU, MinibatchDiscrimination, MinibatchStdDev
from pgan_tf.networks.hidden_layer import HiddenLayer, unchanged
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
        self._from_rgb = {r: self._make_from_rgb(r) for r in config.from_rgb_resolutions}
        self._blocks = {r: self._make_block(r) for r in reversed(config.resolutions[1:])}
        # At most one of the two compares the images of a minibatch.
        self._stddev = self._discriminate = unchanged
        if config.minibatch_features == "stddev":
            self._stddev = MinibatchStdDev(config.stddev_group_size, dtype=dtype, name="stddev")
        self._base = self._make_base()
        judged = config.judged_features
        if config.minibatch_features == "discrimination":
            self._discriminate = self.discrimination = self._make_discrimination(judged)
        self._base_dense1 = self._dense(
            "4x4_dense1", judged + config.discrimination_features, 1 + config.label_size, gain=1.0
        )

    def _make_from_rgb(self, resolution: int) -> HiddenLayer:
        name, features = self._rgb_name(resolution), self.config.discriminator_features(resolution)
        conv = self._conv(name, self.config.channels, features, kernel_size=1)
        return HiddenLayer(name, conv, unchanged, self._activate)

    def _make_block(self, resolution: int) -> list[HiddenLayer]:
        """The convolutions above 4x4; the last one halves the resolution."""
        config, prefix = self.config, f"{resolution}x{resolution}"
        features, filters = map(config.discriminator_features, (resolution, resolution // 2))
        inputs = features if resolution in config.from_rgb_resolutions else config.channels
        downscale = "downscale" if config.fused_scale else None
        convs = []
        if config.convs_per_resolution == 2:
            convs.append(self._hidden_conv(f"{prefix}_conv0", features, features))
        convs.append(self._hidden_conv(f"{prefix}_conv1", inputs, filters, resample=downscale))
        return convs

    def _make_base(self) -> list[HiddenLayer]:
        """What leads from features at 4x4 to those that the last layers judge by."""
        if self.config.convs_per_resolution == 1:
            return [HiddenLayer("4x4_flat", _flat, unchanged, unchanged)]
        features = self.config.discriminator_features(MIN_RESOLUTION)
        conv = self._hidden_conv("4x4_conv", features + self.config.stddev_features, features)
        name, units = "4x4_dense0", self.config.judged_features
        dense = self._dense(name, features * 16, units, use_bias=self._norm == "none")
        norm = self._normalization(f"{name}_norm", units)
        return [conv, HiddenLayer(name, lambda x: dense(_flat(x)), norm, self._activate)]

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
        noise: Callable[..., tf.Tensor] = unchanged,
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
          noise: what the input of each hidden layer goes through in training with
            `discriminator_noise`: `noise(x, layer=name, parts=parts)`.

        Returns:
          Scores `[b]` float32, higher for reals, and label logits `[b label_size]` float32, None
          where label_size is 0.

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        x = self.features(
            images, resolution=resolution, alpha=alpha, parts=parts, training=training, noise=noise
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
        noise: Callable[..., tf.Tensor] = unchanged,
    ) -> tf.Tensor:
        """What the last layers judge by, `[b judged_features]`; arguments as of a call."""
        self._check_stage(resolution, alpha)
        minibatch: dict[str, Any] = {
            "training": training,
            "parts": parts,
            "noise": functools.partial(noise, parts=parts),
        }
        # Without a layer from RGB, the first convolution reads the colours.
        x = self._from_rgb.get(resolution, unchanged)(images)
        for step in reversed(self.config.resolutions[1:]):
            if step > resolution:
                continue
            for conv in self._blocks[step]:
                x = conv(x, **minibatch)
            if not self.config.fused_scale:  # else the last of them has downscaled
                x = self._downscale(x)
            if step == resolution and alpha is not None:
                lower = self._from_rgb[step // 2](self._downscale(images))
                x = self._faded(lower, x, alpha)
        x = self._stddev(x, parts=parts)
        for layer in self._base:
            x = layer(x, **minibatch)
        return x


def _flat(x: tf.Tensor) -> tf.Tensor:
    """`[b 4 4 c]` to `[b c*16]`, in the order of stored weights."""
    x = keras.ops.transpose(x, [0, 3, 1, 2])
    return keras.ops.reshape(x, [-1, x.shape[1] * 16])
