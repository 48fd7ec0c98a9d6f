"""What a step holds in memory: bytes, counted from the layers. Plain Python.

A rough formula, meant to tell batches that fit from those that do not; docs/planning.md compares it
with measurements. A dry run measures.
"""

from pgan_tf.config import NetworkConfig, TrainConfig
from pgan_tf.config.options import MIN_RESOLUTION, log2

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
    state = 4 * generator_weights(network, network.resolutions[-1])
    state += 3 * discriminator_weights(network, network.resolutions[-1])
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
    """Weights and biases of a generator with every layer up to `resolution`."""
    base = config.features(1)
    inputs = config.resolved_latent_size + config.label_size
    count = inputs * base * 16 + base + _conv(base, base) + _rgb(config, MIN_RESOLUTION, to=True)
    for step, lower, upper in _steps(config, resolution):
        count += _conv(lower, upper) + _conv(upper, upper) + _rgb(config, step, to=True)
    return count


def discriminator_weights(config: NetworkConfig, resolution: int) -> int:
    """Weights and biases of a discriminator with every layer up to `resolution`."""
    base, top = config.features(1), config.features(0)
    kernels, dims = config.discrimination_features, config.discrimination_dims
    count = _conv(base + config.stddev_features, base) + _rgb(config, MIN_RESOLUTION, to=False)
    count += base * 16 * top + top + (top + kernels + 1) * (1 + config.label_size)
    count += top * kernels * dims + kernels * dims + kernels  # minibatch discrimination's
    for step, lower, upper in _steps(config, resolution):
        count += _conv(upper, upper) + _conv(upper, lower) + _rgb(config, step, to=False)
    return count


def discriminator_outputs(config: NetworkConfig, resolution: int, *, fading: bool) -> int:
    """Numbers that the discriminator's layers put out for one image at a stage."""
    count = resolution**2 * config.features(log2(resolution) - 1)  # from RGB
    if fading:
        count += (resolution // 2) ** 2 * config.features(log2(resolution) - 2)
    for step, lower, upper in _steps(config, resolution):
        # Without fused scale the second layer's output is as large as its input.
        pixels = (step // 2) ** 2 if config.fused_scale else step**2
        count += step**2 * upper + pixels * lower
    return count + 16 * config.features(1) + config.features(0)


def _steps(config: NetworkConfig, resolution: int) -> list[tuple[int, int, int]]:
    """Each resolution above 4x4 with the feature maps below it and its own."""
    logs = range(log2(MIN_RESOLUTION) + 1, log2(resolution) + 1)
    return [(2**log, config.features(log - 2), config.features(log - 1)) for log in logs]


def _conv(inputs: int, filters: int) -> int:
    return 9 * inputs * filters + filters


def _rgb(config: NetworkConfig, resolution: int, *, to: bool) -> int:
    features = config.features(log2(resolution) - 1)
    return features * config.channels + (config.channels if to else features)
