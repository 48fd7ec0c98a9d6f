"""Memory of a training step, estimated from the layer table. Standard library only.

A rough formula, which tells batches that fit from those that do not. docs/guide/planning.md
compares it with measurements. A dry run measures.
"""

from pgan_tf.config import NetworkConfig, TrainConfig
from pgan_tf.networks.layer_table import (
    LayerSpec,
    discriminator_layers,
    generator_layers,
    layers_at,
)

_FLOAT32 = 4

# Copies that a step makes of each weight of the larger network at its stage: gradients before and
# after averaging, scaled kernels, and the 4x4 kernels of fused resampling.
WEIGHT_COPIES = 6

# Tensors of the size of each of the discriminator's outputs that are alive at once, as measured.
# Eight are expected: before and after activation, for reals, fakes and mixed images, and the two
# gradients of the gradient penalty.
ACTIVATION_COPIES = 9
# A second penalty has the same for its images, and two more gradients; as measured.
SECOND_PENALTY_COPIES = 5


def peak_bytes(config: TrainConfig, resolution: int, batch_size: int, *, fading: bool) -> float:
    """Return the peak of bytes that one replica's tensors take in a step of one stage.

    Args:
      config: the run's, fitted to the data.
      resolution: of the stage.
      batch_size: of this replica, in images.
      fading: whether the stage fades in, so that the lower resolution's RGB layers take part.
    """
    network = config.network
    # Weights, Adam's two moments, and the generator's averages, of every resolution.
    averages = 1 + len(config.optimizer.power_lengths)
    state = (3 + averages) * generator_weights(network, network.final_resolution)
    state += 3 * discriminator_weights(network, network.final_resolution)
    working = max(
        generator_weights(network, resolution), discriminator_weights(network, resolution)
    )
    outputs = discriminator_outputs(network, resolution, fading=fading)
    microbatches = config.accumulated_microbatches(batch_size)
    copies = WEIGHT_COPIES + (microbatches > 1)  # the sum of the gradients is one more
    of_outputs = ACTIVATION_COPIES + SECOND_PENALTY_COPIES * (config.loss.gradient_penalties > 1)
    return (
        _FLOAT32 * (state + copies * working)
        + of_outputs * bytes_per_number(config) * outputs * batch_size / microbatches
    )


def bytes_per_number(config: TrainConfig) -> int:
    """Return the bytes of each number that layers output."""
    return _FLOAT32 if config.run.precision == "float32" else _FLOAT32 // 2


def generator_weights(config: NetworkConfig, resolution: int) -> int:
    """Return the size of all variables of a generator with every layer up to `resolution`."""
    return _weights(generator_layers(config), resolution)


def discriminator_weights(config: NetworkConfig, resolution: int) -> int:
    """Return the size of all variables of a discriminator with every layer up to `resolution`."""
    return _weights(discriminator_layers(config), resolution)


def _weights(layers: tuple[LayerSpec, ...], resolution: int) -> int:
    return sum(layer.num_weights for layer in layers if layer.resolution <= resolution)


def discriminator_outputs(config: NetworkConfig, resolution: int, *, fading: bool) -> int:
    """Return the size of all outputs of the discriminator's layers for one image at a stage.

    The outputs of minibatch discrimination and of the last layer are too small to count.
    """
    return sum(
        layer.outputs
        for layer in layers_at(discriminator_layers(config), resolution, fading=fading)
        if layer.role in ("hidden", "rgb")
    )
