"""The section about networks."""

import dataclasses
import math

from pgan_tf.config.options import (
    MIN_RESOLUTION,
    log2,
    option,
    require_at_least,
    require_choice,
    require_default,
    require_positive,
    require_resolution,
)
from tfrecords_tools.shape import SQUARE, Base, has_alpha, is_base

MAX_FMAP_DECAY = 8.0

# He's constant for layers that a (leaky) ReLU follows; it is 1 for layers without an activation.
RELU_GAIN = math.sqrt(2.0)

GENERATOR_NORMS = ("pixel", "batch", "none")
DISCRIMINATOR_NORMS = ("none", "layer", "batch")
ACTIVATIONS = ("leaky_relu", "relu")
OUTPUT_ACTIVATIONS = ("linear", "tanh")
MINIBATCH_FEATURES = ("stddev", "discrimination", "none")


def full_stddev_group(group_size: int, samples: int) -> int:
    """Return the number of samples in a full group of the minibatch standard deviation.

    Args:
      group_size: `stddev_group_size`, at least 0; 0 takes all samples as one group.
      samples: of one minibatch on one replica.
    """
    return max(1, min(group_size, samples) if group_size else samples)


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The shape of both networks (appendix A of the paper).

    `channels`, `label_size`, `base` and `bits` come from the data, never from a flag; so does
    `resolution` if its flag is not given. A resolution is 4 times a power of two, whatever the
    images' shape; `base` turns it into height and width.

    Raises:
      ValueError: a value is out of range, or values contradict each other.
    """

    resolution: int | None = option(
        None,
        "Final resolution, a power of two from 4: the side of square images in pixels; of "
        "rectangles, 4 for their smallest level, 8 for the next, and so on. Default: the data's.",
    )
    fmap_base: int = option(
        8192,
        "A layer of stage s has min(fmap_base / 2^(s * fmap_decay), fmap_max) feature maps, where "
        "s is 1 at 4x4, 2 at 8x8, and so on.",
    )
    fmap_max: int = option(512, "Most feature maps of any layer.")
    fmap_decay: float = option(
        1.0, "Decay of the number of feature maps with resolution; see --fmap_base."
    )
    discriminator_fmap_divisor: int = option(
        1,
        "Divide the discriminator's numbers of feature maps by this (K in appendix E of the "
        "paper).",
    )
    convs_per_resolution: int = option(
        2,
        "Number of 3x3 convolutions that each network has at a resolution: 2, or 1 from 8x8 on and "
        "none at 4x4 (appendix E).",
    )
    to_rgb_kernel_size: int = option(
        1, "Side of the generator's kernels from features to colors: 1, or 3 (appendix E)."
    )
    latent_size: int | None = option(
        None, "Number of components of a latent vector. Default: the feature maps of stage 0."
    )
    normalize_latents: bool = option(True, "Scale each latent vector to unit mean square.")
    equalized_learning_rate: bool = option(
        True,
        "Store weights as N(0, 1) and scale them in each use (section 4.1); off: scale them once, "
        "at the start.",
    )
    generator_activation: str = option(
        "leaky_relu", "Activation in the generator.", choices=ACTIVATIONS
    )
    generator_leak: float = option(0.2, "Slope of the generator's leaky ReLU below 0.")
    generator_norm: str = option(
        "pixel",
        "Normalization in the generator: pixel, of each pixel's features after activations "
        "(section 4.2); batch, of each feature over the batch before activations; or none.",
        choices=GENERATOR_NORMS,
    )
    pixel_norm_epsilon: float = option(
        1e-8,
        "Number added to mean squares in pixel norm and in the normalization of latents. "
        "--precision=mixed_float16 needs 1e-4.",
    )
    output_activation: str = option(
        "linear", "Activation of the generator's images.", choices=OUTPUT_ACTIVATIONS
    )
    discriminator_norm: str = option(
        "none",
        "Normalization in the discriminator, before activations: none; layer, of each sample; or "
        "batch, of each feature over the batch.",
        choices=DISCRIMINATOR_NORMS,
    )
    minibatch_features: str = option(
        "stddev",
        "Features that show the discriminator how much a minibatch varies: its standard deviation "
        "(section 3), minibatch discrimination (Salimans et al. 2016), or none.",
        choices=MINIBATCH_FEATURES,
    )
    stddev_group_size: int = option(
        4,
        "Number of samples in a group of the minibatch standard deviation; 0: all samples of a "
        "replica.",
    )
    discrimination_kernels: int = option(
        100,
        "Number of kernels of minibatch discrimination, which are fitted to 500 real images "
        "before the first step.",
    )
    discrimination_dims: int = option(
        5, "Number of dimensions of each kernel of minibatch discrimination."
    )
    discriminator_noise: float = option(
        0.0,
        "Strength of multiplicative noise in the discriminator, times max(0, d - 0.5)^2, where d "
        "follows the scores of real images; 0: no noise. Needs --loss=lsgan; appendix B has 0.2.",
    )
    fused_scale: bool = option(
        True,
        "Order in the discriminator: convolve, downscale, activate (the original's TensorFlow "
        "version); off: convolve, activate, downscale (its Theano version).",
    )
    fuse_resampling: bool = option(
        True,
        "Compute a convolution and its resampling as one strided convolution. The results are the "
        "same up to rounding; which way is faster depends on the device.",
        adjustable=True,
    )
    channels: int = 3
    label_size: int = 0
    base: Base = SQUARE
    bits: int = 8

    def __post_init__(self) -> None:
        if self.resolution is not None:
            require_resolution("resolution", self.resolution)
        for name in (
            "fmap_base",
            "fmap_max",
            "discriminator_fmap_divisor",
            "discrimination_kernels",
            "discrimination_dims",
        ):
            require_at_least(name, getattr(self, name), 1)
        if self.latent_size is not None:
            require_at_least("latent_size", self.latent_size, 1)
        for name in ("fmap_decay", "stddev_group_size", "generator_leak", "discriminator_noise"):
            require_at_least(name, getattr(self, name), 0)
        require_positive("pixel_norm_epsilon", self.pixel_norm_epsilon)
        if self.fmap_decay > MAX_FMAP_DECAY:
            raise ValueError(
                f"fmap_decay must be at most {MAX_FMAP_DECAY}. Received: {self.fmap_decay}"
            )
        for name, sizes in (("convs_per_resolution", (1, 2)), ("to_rgb_kernel_size", (1, 3))):
            if getattr(self, name) not in sizes:
                raise ValueError(
                    f"{name} must be {sizes[0]} or {sizes[1]}. Received: {getattr(self, name)}"
                )
        require_choice("generator_activation", self.generator_activation, ACTIVATIONS)
        require_choice("generator_norm", self.generator_norm, GENERATOR_NORMS)
        require_choice("output_activation", self.output_activation, OUTPUT_ACTIVATIONS)
        require_choice("discriminator_norm", self.discriminator_norm, DISCRIMINATOR_NORMS)
        require_choice("minibatch_features", self.minibatch_features, MINIBATCH_FEATURES)
        self._refuse_what_has_no_effect()
        object.__setattr__(self, "base", Base(*self.base))  # of any pair
        if not is_base(*self.base):
            raise ValueError(
                "base must be 4x4, or the smallest size of a rectangle's shape with sides of at "
                f"least 4. Received: {self.size_text(MIN_RESOLUTION)}"
            )
        if self.channels not in (1, 2, 3, 4):
            raise ValueError(f"channels must be 1 to 4. Received: {self.channels}")
        require_at_least("label_size", self.label_size, 0)
        if min(map(self.discriminator_features, self.from_rgb_resolutions)) < 1:
            raise ValueError(
                "fmap_base must leave at least one feature map at "
                f"{self.size_text(self.final_resolution)}. Received: {self.fmap_base}"
            )

    def _refuse_what_has_no_effect(self) -> None:
        if self.generator_norm != "pixel" and not self.normalize_latents:
            require_default(self, "pixel_norm_epsilon", "without pixel norm")
        if self.generator_activation == "relu":
            require_default(self, "generator_leak", "with --generator_activation=relu")
        if self.minibatch_features != "stddev":
            require_default(
                self, "stddev_group_size", f"with --minibatch_features={self.minibatch_features}"
            )
        if self.minibatch_features == "discrimination" and self.discriminator_norm == "batch":
            raise ValueError(
                "discriminator_norm must be none or layer with --minibatch_features=discrimination"
                ", which is initialized on features that do not depend on their batch. Received: "
                "batch"
            )
        if self.minibatch_features != "discrimination":
            for name in ("discrimination_kernels", "discrimination_dims"):
                require_default(self, name, "without --minibatch_features=discrimination")

    def features(self, stage: int) -> int:
        """Return nf(stage) = min(floor(fmap_base / 2^(stage * fmap_decay)), fmap_max)."""
        return min(int(self.fmap_base / 2.0 ** (stage * self.fmap_decay)), self.fmap_max)

    def generator_features(self, resolution: int) -> int:
        """Return the generator's number of feature maps at a resolution of 2^r: nf(r-1).

        With one convolution a resolution it is nf(r-2), so that 4x4 has nf(0).
        """
        return self.features(log2(resolution) - (2 if self.convs_per_resolution == 1 else 1))

    def discriminator_features(self, resolution: int) -> int:
        """Return the discriminator's number of feature maps at a resolution of 2^r: nf(r-1) / K."""
        return self.features(log2(resolution) - 1) // self.discriminator_fmap_divisor

    @property
    def from_rgb_resolutions(self) -> tuple[int, ...]:
        """The resolutions at which the discriminator has a fromRGB layer.

        With one convolution a resolution, that of the final one reads colors itself.
        """
        one = self.convs_per_resolution == 1
        return self.resolutions[: -1 if one and len(self.resolutions) > 1 else None]

    @property
    def judged_features(self) -> int:
        """Number of features before the discriminator's last dense layer: nf(0) / K.

        With one convolution a resolution, all features of the base.
        """
        if self.convs_per_resolution == 1:
            features = self.discriminator_features(MIN_RESOLUTION) + self.stddev_features
            return self.base.pixels * features
        return self.features(0) // self.discriminator_fmap_divisor

    @property
    def stddev_features(self) -> int:
        """Number of channels that minibatch stddev appends: 1, or 0 without it."""
        return int(self.minibatch_features == "stddev")

    @property
    def discrimination_features(self) -> int:
        """Number of features that minibatch discrimination appends; 0 without it."""
        return self.discrimination_kernels if self.minibatch_features == "discrimination" else 0

    @property
    def normalizes_batches(self) -> bool:
        """True if a network has batch norm."""
        return "batch" in (self.generator_norm, self.discriminator_norm)

    def independent_groups(self, batch_size: int) -> int:
        """Return the number of groups, of equal size, whose passes do not depend on each other.

        They can be computed apart, as microbatches; 1 if each image depends on all others.

        Args:
          batch_size: of one replica.
        """
        # Noise is drawn for each pass, and each microbatch would be a pass.
        if self.normalizes_batches or self.discriminator_noise:
            return 1
        group_size = self.compared_images(batch_size)
        return 1 if batch_size % group_size else batch_size // group_size

    def compared_images(self, batch_size: int) -> int:
        """Return the number of images that the discriminator compares with each other.

        Args:
          batch_size: of one replica.
        """
        if self.minibatch_features == "none":
            return 1
        if self.minibatch_features == "discrimination":
            return batch_size
        return full_stddev_group(self.stddev_group_size, batch_size)

    def image_size(self, resolution: int) -> tuple[int, int]:
        """Return the height and width of images at a resolution."""
        return self.base.size_at(resolution)

    def size_text(self, resolution: int) -> str:
        """Return the size of images at a resolution in words: `96x64`, the width first."""
        return self.base.text_at(resolution)

    @property
    def has_alpha(self) -> bool:
        """True if the last channel of images is alpha."""
        return has_alpha(self.channels)

    @property
    def resolution_log2(self) -> int:
        """Base-2 logarithm of the final resolution."""
        return log2(self.final_resolution)

    @property
    def resolved_latent_size(self) -> int:
        """Number of components of a latent vector: `latent_size`, or nf(0) if that is None."""
        return self.features(0) if self.latent_size is None else self.latent_size

    @property
    def final_resolution(self) -> int:
        """Resolution of the last stage; 4 until `resolution` is known."""
        return self.resolution or MIN_RESOLUTION

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Every resolution for which the networks have layers: 4, 8, ... up to the final one."""
        return tuple(2**r for r in range(log2(MIN_RESOLUTION), self.resolution_log2 + 1))
