"""The layer table: every layer with weights of both networks (appendix A, table 2).

`Generator` and `Discriminator` are made from it; costs, memory and the layout of the original's
files are computed from it. Standard library only.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Literal

from pgan_tf.config import NetworkConfig
from pgan_tf.config.network import RELU_GAIN
from pgan_tf.config.options import MIN_RESOLUTION
from tfrecords_tools.shape import SQUARE, Base

Role = Literal["hidden", "rgb", "discrimination", "scores"]
Resampling = Literal["upscale", "downscale"]

# The generator's layer that latents enter once they are normalized.
FIRST_LAYER = "4x4_dense"


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One layer with weights, including its bias and its normalization.

    Attributes:
      name: as `8x8_conv0`; the names of its variables begin with it.
      role: "rgb" for the layers to and from RGB, "discrimination" for minibatch discrimination,
        "scores" for the discriminator's last layer, "hidden" for all others.
      resolution: of the stage that first uses the layer.
      kernel_shape: of the stored kernel: `[k k in out]` of a convolution, `[in out]` of a dense
        layer, `[in kernels dims]` of minibatch discrimination.
      gain: He's constant.
      norm: normalization between kernel and activation, which adds the bias: "none" (a bias alone),
        "layer" or "batch".
      resample: resampling by two that goes with the convolution: before it up, after it down.
      activates_first: the layer is activated at the higher resolution and downscaled afterwards, as
        without `NetworkConfig.fused_scale`.
      makes_images: a dense layer whose outputs are feature maps of the base's size.
      base: height and width at resolution 4.
    """

    name: str
    role: Role
    resolution: int
    kernel_shape: tuple[int, ...]
    gain: float = RELU_GAIN
    norm: str = "none"
    resample: Resampling | None = None
    activates_first: bool = False
    makes_images: bool = False
    base: Base = SQUARE

    @property
    def is_convolution(self) -> bool:
        """True if the kernel is `[k k in out]`."""
        return len(self.kernel_shape) == 4

    @property
    def fan_in(self) -> int:
        """Inputs of each output."""
        return math.prod(self.kernel_shape[:-1])

    @property
    def features(self) -> int:
        """Feature maps, or components, of the output. Each has one bias."""
        return self.kernel_shape[-1] // (self.base.pixels if self.makes_images else 1)

    @property
    def output_pixels(self) -> int:
        """Pixels of the output, before a downscaling that follows the activation."""
        if not self.is_convolution:
            return self.base.pixels if self.makes_images else 1
        halved = self.resample == "downscale" and not self.activates_first
        return math.prod(self.base.size_at(self.resolution // 2 if halved else self.resolution))

    @property
    def outputs(self) -> int:
        """Numbers in the output for one image."""
        return self.features * self.output_pixels

    @property
    def kernel_name(self) -> str:
        """Name of the kernel's variable."""
        return f"{self.name}/kernel"

    @property
    def bias_name(self) -> str:
        """Name of the bias's variable in a layer without normalization."""
        # Where the output is reshaped to images first, a layer of its own adds the bias.
        return f"{self.name}_bias/bias" if self.makes_images else f"{self.name}/bias"

    @property
    def variables(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all variables by name, in the order of their creation."""
        if self.role == "discrimination":
            _, kernels, dims = self.kernel_shape
            shapes = {"direction": self.kernel_shape, "log_scale": (kernels, dims)}
            return {
                f"{self.name}/{kind}": shape
                for kind, shape in {**shapes, "bias": (kernels,)}.items()
            }
        return {self.kernel_name: self.kernel_shape, **self._normalization_variables()}

    def _normalization_variables(self) -> dict[str, tuple[int, ...]]:
        each, prefix = (self.features,), f"{self.name}_norm"
        if self.norm == "layer":
            return {f"{prefix}/gain": (), f"{prefix}/bias": each}
        if self.norm == "batch":
            kinds = ("scale", "bias", "moving_mean", "moving_variance")
            return {f"{prefix}/{kind}": each for kind in kinds}
        return {self.bias_name: each}

    @property
    def num_weights(self) -> int:
        """Numbers in all variables."""
        return sum(math.prod(shape) for shape in self.variables.values())


def generator_layers(config: NetworkConfig) -> tuple[LayerSpec, ...]:
    """Return the generator's layers in the order of their creation."""
    return tuple(_generator_layers(config))


def discriminator_layers(config: NetworkConfig) -> tuple[LayerSpec, ...]:
    """Return the discriminator's layers in the order of their creation."""
    return tuple(_discriminator_layers(config))


def layers_at(layers: Iterable[LayerSpec], resolution: int, *, fading: bool) -> list[LayerSpec]:
    """Return the layers that a stage runs through.

    Args:
      layers: of one network.
      resolution: of the stage.
      fading: whether the stage fades in, so that the lower resolution's RGB layer takes part.
    """
    rgb = {resolution, resolution // 2} if fading else {resolution}
    return [
        layer
        for layer in layers
        if (layer.resolution in rgb if layer.role == "rgb" else layer.resolution <= resolution)
    ]


def _generator_layers(config: NetworkConfig) -> Iterator[LayerSpec]:
    norm = "batch" if config.generator_norm == "batch" else "none"
    two_convs = config.convs_per_resolution == 2
    features = config.generator_features(MIN_RESOLUTION)
    inputs = config.resolved_latent_size + config.label_size
    yield LayerSpec(
        FIRST_LAYER,
        "hidden",
        MIN_RESOLUTION,
        (inputs, features * config.base.pixels),
        gain=RELU_GAIN / 4,  # as in the original's Theano version
        norm=norm,
        makes_images=True,
        base=config.base,
    )
    if two_convs:
        yield _conv(config, "conv", MIN_RESOLUTION, features, features, norm=norm)
    yield _to_rgb(config, MIN_RESOLUTION)
    for resolution in config.resolutions[1:]:
        inputs, features = features, config.generator_features(resolution)
        yield _conv(config, "conv0", resolution, inputs, features, norm=norm, resample="upscale")
        if two_convs:
            yield _conv(config, "conv1", resolution, features, features, norm=norm)
        yield _to_rgb(config, resolution)


def _discriminator_layers(config: NetworkConfig) -> Iterator[LayerSpec]:
    norm, two_convs = config.discriminator_norm, config.convs_per_resolution == 2
    for resolution in config.from_rgb_resolutions:
        yield _from_rgb(config, resolution)
    for resolution in reversed(config.resolutions[1:]):
        features = config.discriminator_features(resolution)
        if two_convs:
            yield _conv(config, "conv0", resolution, features, features, norm=norm)
        # Without a layer from RGB, the convolution reads the colors themselves.
        yield _conv(
            config,
            "conv1",
            resolution,
            features if resolution in config.from_rgb_resolutions else config.channels,
            config.discriminator_features(resolution // 2),
            norm=norm,
            resample="downscale",
            activates_first=not config.fused_scale,
        )
    features, judged = config.discriminator_features(MIN_RESOLUTION), config.judged_features
    if two_convs:
        inputs = features + config.stddev_features
        yield _conv(config, "conv", MIN_RESOLUTION, inputs, features, norm=norm)
        flat = features * config.base.pixels
        yield LayerSpec("4x4_dense0", "hidden", MIN_RESOLUTION, (flat, judged), norm=norm)
    if config.minibatch_features == "discrimination":
        projections = (judged, config.discrimination_kernels, config.discrimination_dims)
        yield LayerSpec("4x4_discrimination", "discrimination", MIN_RESOLUTION, projections)
    scores = (judged + config.discrimination_features, 1 + config.label_size)
    yield LayerSpec("4x4_dense1", "scores", MIN_RESOLUTION, scores, gain=1.0)


def _conv(
    config: NetworkConfig,
    name: str,
    resolution: int,
    inputs: int,
    filters: int,
    *,
    norm: str,
    resample: Resampling | None = None,
    activates_first: bool = False,
) -> LayerSpec:
    return LayerSpec(
        f"{resolution}x{resolution}_{name}",
        "hidden",
        resolution,
        (3, 3, inputs, filters),
        norm=norm,
        resample=resample,
        activates_first=activates_first,
        base=config.base,
    )


def _to_rgb(config: NetworkConfig, resolution: int) -> LayerSpec:
    size = config.to_rgb_kernel_size
    shape = (size, size, config.generator_features(resolution), config.channels)
    name = f"to_rgb_{resolution}x{resolution}"
    return LayerSpec(name, "rgb", resolution, shape, gain=1.0, base=config.base)


def _from_rgb(config: NetworkConfig, resolution: int) -> LayerSpec:
    shape = (1, 1, config.channels, config.discriminator_features(resolution))
    name = f"from_rgb_{resolution}x{resolution}"
    return LayerSpec(name, "rgb", resolution, shape, base=config.base)
