"""What a step holds in memory: bytes, counted from the layers. Plain Python.

A rough formula, meant to tell batches that fit from those that do not. docs/guide/planning.md
compares it with measurements. A dry run measures.
"""

from pgan_tf.config import NetworkConfig, TrainConfig
from pgan_tf.config.options import MIN_RESOLUTION

_FLOAT32 = 4

# What a step makes of each weight of the larger network at its stage: gradients before and after
# they are averaged, kernels scaled for use, and those of 4x4 that fused resampling sums up.
WEIGHT_COPIES = 6

# Tensors of the size of each of the discriminator's outputs that are alive at once, as measured.
# Eight are to be expected: before and after activation, for reals, fakes and mixed images, and the
# two gradients that the penalty is made of.
ACTIVATION_COPIES = 9


def peak_bytes(config: TrainConfig, resolution: int, batch_size: int, *, fading: bool) -> float:
    """Bytes that the tensors of one replica take at most, training one stage.

    Args:
      config: with what only the data can tell filled in.
      resolution: the stage's.
      batch_size: of this replica, in images.
      fading: whether the lower resolution's RGB layers take part.
    """
    network = config.network
    # Weights, Adam's two moments, and the generator's moving average, of every resolution.
    state = 4 * generator_weights(network, network.final_resolution)
    state += 3 * discriminator_weights(network, network.final_resolution)
    working = max(
        generator_weights(network, resolution), discriminator_weights(network, resolution)
    )
    outputs = discriminator_outputs(network, resolution, fading=fading)
    number = _FLOAT32 if config.run.precision == "float32" else _FLOAT32 / 2
    return (
        _FLOAT32 * (state + WEIGHT_COPIES * working)
        + ACTIVATION_COPIES * number * outputs * batch_size
    )


def generator_weights(config: NetworkConfig, resolution: int) -> int:
    """Weights, biases and statistics of a generator with every layer up to `resolution`."""
    second, kernel = config.convs_per_resolution == 2, config.to_rgb_kernel_size
    norm = config.generator_norm
    base = config.generator_features(MIN_RESOLUTION)
    count = (config.resolved_latent_size + config.label_size) * base * 16 + _shift(base, norm)
    count += second * _hidden(base, base, norm) + _conv(base, config.channels, kernel)
    for side in _sides(config, resolution):
        lower, upper = (config.generator_features(s) for s in (side // 2, side))
        count += _hidden(lower, upper, norm) + second * _hidden(upper, upper, norm)
        count += _conv(upper, config.channels, kernel)
    return count


def discriminator_weights(config: NetworkConfig, resolution: int) -> int:
    """Weights, biases and statistics of a discriminator with every layer up to `resolution`."""
    second = config.convs_per_resolution == 2
    base, judged = config.discriminator_features(MIN_RESOLUTION), config.judged_features
    kernels, dims = config.discrimination_features, config.discrimination_dims
    norm = config.discriminator_norm
    count = (judged + kernels + 1) * (1 + config.label_size)
    count += judged * kernels * dims + kernels * dims + kernels  # minibatch discrimination's
    if second:
        count += _hidden(base + config.stddev_features, base, norm)
        count += 16 * base * judged + _shift(judged, norm)
    for side in _sides(config, resolution):
        lower, upper = (config.discriminator_features(s) for s in (side // 2, side))
        inputs = upper if side in config.from_rgb_resolutions else config.channels
        count += second * _hidden(upper, upper, norm) + _hidden(inputs, lower, norm)
    return count + sum(
        _conv(config.channels, config.discriminator_features(side), 1)
        for side in config.from_rgb_resolutions
        if side <= resolution
    )


def discriminator_outputs(config: NetworkConfig, resolution: int, *, fading: bool) -> int:
    """Numbers that the discriminator's layers put out for one image at a stage."""
    second = config.convs_per_resolution == 2
    count = sum(
        side**2 * config.discriminator_features(side)
        for side in ([resolution, resolution // 2] if fading else [resolution])
        if side in config.from_rgb_resolutions
    )
    for side in _sides(config, resolution):
        # Without fused scale the layer before downscaling puts out as much as it is given.
        pixels = (side // 2) ** 2 if config.fused_scale else side**2
        count += second * side**2 * config.discriminator_features(side)
        count += pixels * config.discriminator_features(side // 2)
    at_4x4 = 16 * config.discriminator_features(MIN_RESOLUTION) + config.judged_features
    return count + second * at_4x4


def _sides(config: NetworkConfig, resolution: int) -> tuple[int, ...]:
    """Every resolution above 4x4 up to `resolution`."""
    return tuple(side for side in config.resolutions[1:] if side <= resolution)


def _conv(inputs: int, filters: int, kernel_size: int) -> int:
    return kernel_size**2 * inputs * filters + filters


def _hidden(inputs: int, filters: int, norm: str) -> int:
    return 9 * inputs * filters + _shift(filters, norm)


def _shift(features: int, norm: str) -> int:
    """Biases of a layer, and what normalising it adds."""
    # A gain for all of it; or a scale and two moving averages for each feature.
    return features + {"layer": 1, "batch": 3 * features}.get(norm, 0)
