"""The discriminator (appendix A, table 2): images to scores."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.config.options import MIN_RESOLUTION
from pgan_tf.layers import DownScale2D, LeakyReLU, MinibatchDiscrimination, MinibatchStdDev
from pgan_tf.networks.hidden_layer import HiddenLayer, identity
from pgan_tf.networks.layer_table import LayerSpec, discriminator_layers
from pgan_tf.networks.network import Network

NEGATIVE_SLOPE = 0.2


class DiscriminatorOutput(NamedTuple):
    """Output of the discriminator for b images.

    Attributes:
      scores: `[b]` float32, higher for reals.
      logits: `[b label_size]` float32, of the labels; None where label_size is 0.
    """

    scores: tf.Tensor
    logits: tf.Tensor | None


class Discriminator(Network):
    """Images to scores (and label logits).

    Args:
      config: the shape of both networks; `resolution` must be known.
      name: of this discriminator in checkpoints; also seeds its weights.
      seed: of the initial weights.
      dtype: Keras dtype policy of every layer.

    Attributes:
      discrimination: the layer of minibatch discrimination; None in a network without it.
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
        super().__init__(config, discriminator_layers(config), name=name, seed=seed, dtype=dtype)
        self._leaky_relu = LeakyReLU(NEGATIVE_SLOPE, dtype=dtype, name="leaky_relu")
        self._downscale = DownScale2D(dtype=dtype, name="downscale")
        # At most one of the two compares the images of a minibatch.
        self._stddev = self._discriminate = identity
        if config.minibatch_features == "stddev":
            self._stddev = MinibatchStdDev(config.stddev_group_size, dtype=dtype, name="stddev")
        self._from_rgb: dict[int, HiddenLayer] = {}
        self._blocks: dict[int, list[HiddenLayer]] = {r: [] for r in config.resolutions}
        for spec in self.layers:
            if spec.role == "rgb":
                self._from_rgb[spec.resolution] = self._hidden_layer(spec)
            elif spec.role == "hidden":
                self._blocks[spec.resolution].append(self._make_hidden(spec))
            elif spec.role == "discrimination":
                self._discriminate = self.discrimination = self._make_discrimination(spec)
            else:
                self._scores = self._weighted(spec)
        if config.convs_per_resolution == 1:
            flat = HiddenLayer("4x4_flat", _flat, identity, identity)
            self._blocks[MIN_RESOLUTION].append(flat)

    def _make_hidden(self, spec: LayerSpec) -> HiddenLayer:
        if spec.is_convolution:
            return self._hidden_layer(spec)
        dense = self._weighted(spec)
        return self._hidden_layer(spec, lambda x: dense(_flat(x)))

    def _make_discrimination(self, spec: LayerSpec) -> keras.layers.Layer:
        inputs, kernels, dims = spec.kernel_shape
        layer = MinibatchDiscrimination(
            kernels, dims, seed=self._layer_seed(spec.name), dtype=self._dtype, name=spec.name
        )
        return self._add(layer, None, inputs)

    def _activate(self, x: tf.Tensor) -> tf.Tensor:
        return self._leaky_relu(x)

    def __call__(
        self,
        images: tf.Tensor,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        num_minibatches: int = 1,
        training: bool = False,
        noise: Callable[..., tf.Tensor] = identity,
    ) -> DiscriminatorOutput:
        """Score images at one stage.

        Args:
          images: `[b h w channels]` float32 in [-1, 1]; h, w of `NetworkConfig.image_size`.
          resolution: of the stage.
          alpha: while the stage fades in, a scalar tensor in [0, 1], or a float that becomes a
            constant of a saved model; None afterwards.
          num_minibatches: number of minibatches of equal size that `images` holds, one after the
            other. Statistics of a minibatch are taken of each separately.
          training: on: batch norm takes the statistics of each minibatch and adds them to its
            moving averages; off: it takes the averages.
          noise: applied to the input of each hidden layer in training with
            `discriminator_noise`, as `noise(x, layer=name, num_minibatches=num_minibatches)`.

        Raises:
          ValueError: a resolution without layers, or an alpha at 4x4.
        """
        x = self.features(
            images,
            resolution=resolution,
            alpha=alpha,
            num_minibatches=num_minibatches,
            training=training,
            noise=noise,
        )
        # Keras layers call the number of minibatches `parts`: saved discriminators do so too.
        x = self._scores(self._discriminate(x, parts=num_minibatches))
        x = keras.ops.cast(x, "float32")
        return DiscriminatorOutput(x[:, 0], x[:, 1:] if self.config.label_size else None)

    def features(
        self,
        images: tf.Tensor,
        *,
        resolution: int,
        alpha: tf.Tensor | float | None = None,
        num_minibatches: int = 1,
        training: bool = False,
        noise: Callable[..., tf.Tensor] = identity,
    ) -> tf.Tensor:
        """Return the input of the last layers, `[b judged_features]`; arguments as of a call."""
        self._check_stage(resolution, alpha)
        minibatch: dict[str, Any] = {
            "training": training,
            "parts": num_minibatches,
            "noise": functools.partial(noise, num_minibatches=num_minibatches),
        }
        # Without a layer from RGB, the first convolution reads the colors.
        x = self._from_rgb.get(resolution, identity)(images)
        for step in reversed(self.config.resolutions[1:]):
            if step > resolution:
                continue
            for layer in self._blocks[step]:
                x = layer(x, **minibatch)
            if not self.config.fused_scale:  # else the last convolution has downscaled
                x = self._downscale(x)
            if step == resolution and alpha is not None:
                lower = self._from_rgb[step // 2](self._downscale(images))
                x = self._faded(lower, x, alpha)
        x = self._stddev(x, parts=num_minibatches)
        for layer in self._blocks[MIN_RESOLUTION]:
            x = layer(x, **minibatch)
        return x


def _flat(x: tf.Tensor) -> tf.Tensor:
    """Reshape `[b h w c]` to `[b c*h*w]`; stored weights are in the order C, H, W."""
    x = keras.ops.transpose(x, [0, 3, 1, 2])
    return keras.ops.reshape(x, [-1, math.prod(x.shape[1:])])
