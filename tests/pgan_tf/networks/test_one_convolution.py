"""The networks with one convolution a resolution (appendix E), against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from tests.helpers import layer_reference as reference

# As the paper's: 64 feature maps at 4x4, 8 at 32x32.
PAPER = NetworkConfig(resolution=32, fmap_base=64, fmap_max=256, convs_per_resolution=1)


def shapes(network):
    return {p: tuple(v.shape) for p, v in network.variables.items() if p.endswith("kernel")}


def test_the_generator_has_the_papers_layers():
    config = NetworkConfig(
        resolution=32, fmap_base=64, fmap_max=256, convs_per_resolution=1, to_rgb_kernel_size=3
    )
    assert shapes(Generator(config)) == {
        "4x4_dense/kernel": (64, 64 * 16),
        "8x8_conv0/kernel": (3, 3, 64, 32),
        "16x16_conv0/kernel": (3, 3, 32, 16),
        "32x32_conv0/kernel": (3, 3, 16, 8),
        "to_rgb_4x4/kernel": (3, 3, 64, 3),
        "to_rgb_8x8/kernel": (3, 3, 32, 3),
        "to_rgb_16x16/kernel": (3, 3, 16, 3),
        "to_rgb_32x32/kernel": (3, 3, 8, 3),
    }


@pytest.mark.parametrize("divisor", [1, 2, 4])
def test_the_discriminator_has_the_papers_layers(divisor):
    config = NetworkConfig(
        resolution=32,
        fmap_base=64,
        fmap_max=256,
        convs_per_resolution=1,
        discriminator_fmap_divisor=divisor,
        minibatch_features="none",
    )
    assert shapes(Discriminator(config)) == {
        "32x32_conv1/kernel": (3, 3, 3, 8 // divisor),
        "16x16_conv1/kernel": (3, 3, 8 // divisor, 16 // divisor),
        "8x8_conv1/kernel": (3, 3, 16 // divisor, 32 // divisor),
        "4x4_dense1/kernel": (16 * 32 // divisor, 1),
        "from_rgb_16x16/kernel": (1, 1, 3, 8 // divisor),
        "from_rgb_8x8/kernel": (1, 1, 3, 16 // divisor),
        "from_rgb_4x4/kernel": (1, 1, 3, 32 // divisor),
    }


def test_the_divisor_is_of_the_discriminators_widths_alone():
    config = NetworkConfig(resolution=8, fmap_base=64, fmap_max=16, discriminator_fmap_divisor=4)
    assert shapes(Discriminator(config)) == {
        "from_rgb_8x8/kernel": (1, 1, 3, 4),
        "from_rgb_4x4/kernel": (1, 1, 3, 4),
        "8x8_conv0/kernel": (3, 3, 4, 4),
        "8x8_conv1/kernel": (3, 3, 4, 4),
        "4x4_conv/kernel": (3, 3, 5, 4),
        "4x4_dense0/kernel": (64, 4),
        "4x4_dense1/kernel": (4, 1),
    }
    assert shapes(Generator(config))["8x8_conv1/kernel"] == (3, 3, 16, 16)


def test_a_divisor_that_leaves_no_feature_map_is_refused():
    with pytest.raises(ValueError, match="fmap_base must leave at least one feature map at 8x8"):
        NetworkConfig(resolution=8, fmap_base=8, discriminator_fmap_divisor=4)


CONFIG = NetworkConfig(
    resolution=8,
    fmap_base=16,
    fmap_max=6,
    convs_per_resolution=1,
    to_rgb_kernel_size=3,
    generator_leak=0.3,
    fused_scale=False,
)


def test_the_generator_computes_what_numpy_does(rng):
    generator = Generator(CONFIG)
    weights = reference.randomised(generator, rng)

    def finish(x):
        x = np.where(x > 0, x, 0.3 * x)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-8)

    latents = rng.normal(size=[5, 6])
    x = latents / np.sqrt((latents**2).mean(-1, keepdims=True) + 1e-8)
    x = reference.weighted(x, "4x4_dense", weights, gain=2**0.5 / 4).reshape(5, 6, 4, 4)
    x = finish(x.transpose(0, 2, 3, 1) + weights["4x4_dense_bias/bias"])
    lower = reference.upscale(reference.weighted(x, "to_rgb_4x4", weights, gain=1.0))
    x = finish(reference.weighted(reference.upscale(x), "8x8_conv0", weights))
    expected = 0.75 * lower + 0.25 * reference.weighted(x, "to_rgb_8x8", weights, gain=1.0)
    images = generator(tf.constant(latents, tf.float32), resolution=8, alpha=tf.constant(0.25))
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-4)


def test_the_discriminator_computes_what_numpy_does(rng):
    discriminator = Discriminator(CONFIG)
    weights = reference.randomised(discriminator, rng)
    images = rng.normal(size=[4, 8, 8, 3])
    x = reference.downscale(reference.leaky_relu(reference.weighted(images, "8x8_conv1", weights)))
    lower = reference.leaky_relu(
        reference.weighted(reference.downscale(images), "from_rgb_4x4", weights)
    )
    x = 0.75 * lower + 0.25 * x
    deviation = reference.minibatch_stddev(x, 4)
    deviation = np.broadcast_to(deviation[:, None, None, None], [4, 4, 4, 1])
    x = np.concatenate([x, deviation], axis=-1).transpose(0, 3, 1, 2).reshape(4, -1)
    expected = reference.weighted(x, "4x4_dense1", weights, gain=1.0)[:, 0]
    scores, _ = discriminator(
        tf.constant(images, tf.float32), resolution=8, alpha=tf.constant(0.25)
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("resolution", "fading"), [(4, False), (8, True), (16, True), (32, False)])
def test_active_variables_are_those_with_gradients(rng, resolution, fading):
    alpha = tf.constant(0.5) if fading else None
    generator, discriminator = Generator(PAPER), Discriminator(PAPER)
    with tf.GradientTape(persistent=True) as tape:
        latents = tf.constant(rng.normal(size=[4, 64]), tf.float32)
        images = generator(latents, resolution=resolution, alpha=alpha)
        scores, _ = discriminator(images, resolution=resolution, alpha=alpha)
    assert images.shape == (4, resolution, resolution, 3)
    for network in (generator, discriminator):
        gradients = tape.gradient(scores, {p: v.value for p, v in network.variables.items()})
        active = {v.path for v in network.variables_at(resolution, fading=fading)}
        assert active == {path for path, gradient in gradients.items() if gradient is not None}
