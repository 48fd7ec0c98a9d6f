"""The discriminator's minibatch features, and the noise in its features, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.networks.discriminator import Discriminator
from tests.helpers import layer_reference as reference


def judged(images, weights, *, append=lambda x: x, noise=lambda x, layer: x, finish=lambda x: x):
    """Scores at 8x8 from the definition.

    Args:
      images: `[b 8 8 c]`.
      weights: of the discriminator, by name.
      append: applied before the 4x4 convolution.
      noise: applied to the input of each hidden layer.
      finish: applied before the last layer.
    """

    def hidden(x, name):
        return reference.weighted(noise(x, name), name, weights)

    act = reference.leaky_relu
    x = act(reference.weighted(images, "from_rgb_8x8", weights))
    x = act(hidden(x, "8x8_conv0"))
    x = act(reference.downscale(hidden(x, "8x8_conv1")))
    x = act(hidden(append(x), "4x4_conv"))
    x = noise(x, "4x4_dense0").transpose(0, 3, 1, 2).reshape(len(x), -1)
    x = finish(act(reference.weighted(x, "4x4_dense0", weights)))
    return reference.weighted(x, "4x4_dense1", weights, gain=1.0)[:, 0]


def config(**options):
    return NetworkConfig(resolution=8, fmap_base=32, fmap_max=6, **options)


@pytest.fixture
def images(rng):
    return rng.normal(size=[8, 8, 8, 3])


def scores(discriminator, images, **options):
    return discriminator(tf.constant(images, tf.float32), resolution=8, **options)[0]


def test_without_minibatch_features_an_image_is_judged_alone(rng, images):
    discriminator = Discriminator(config(minibatch_features="none"))
    expected = judged(images, reference.randomised(discriminator, rng))
    np.testing.assert_allclose(scores(discriminator, images), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        scores(discriminator, images[:1]), expected[:1], rtol=1e-4, atol=1e-4
    )


def test_without_groups_the_deviation_is_of_each_minibatch_separately(rng, images):
    discriminator = Discriminator(config(stddev_group_size=0))
    weights = reference.randomised(discriminator, rng)

    def append(x):
        deviation = np.full([4, 4, 4, 1], np.sqrt(x.var(axis=0) + 1e-8).mean())
        return np.concatenate([x, deviation], axis=-1)

    expected = [judged(part, weights, append=append) for part in (images[:4], images[4:])]
    actual = scores(discriminator, images, num_minibatches=2)
    np.testing.assert_allclose(actual, np.concatenate(expected), rtol=1e-4, atol=1e-4)


def test_minibatch_discrimination_is_what_the_last_layer_sees_too(rng, images):
    discriminator = Discriminator(
        config(minibatch_features="discrimination", discrimination_kernels=3, discrimination_dims=2)
    )
    weights = reference.randomised(discriminator, rng)

    def finish(x):
        return np.concatenate([x, reference.closeness(x, discriminator.discrimination)], axis=-1)

    expected = [judged(part, weights, finish=finish) for part in (images[:4], images[4:])]
    actual = scores(discriminator, images, num_minibatches=2)
    np.testing.assert_allclose(actual, np.concatenate(expected), rtol=1e-3, atol=1e-3)
    alone = judged(images, weights, finish=lambda x: np.pad(x, [(0, 0), (0, 3)]))
    assert np.abs(actual - alone).max() > 0.01, "no difference"


def test_noise_goes_into_every_hidden_layer_and_nowhere_else(rng, images):
    discriminator = Discriminator(config())
    weights = reference.randomised(discriminator, rng)
    factors = {
        "8x8_conv0": rng.normal(1, 0.3, [8, 1, 1, 6]),
        "8x8_conv1": rng.normal(1, 0.3, [8, 1, 1, 6]),
        "4x4_conv": rng.normal(1, 0.3, [8, 1, 1, 7]),  # the deviation's map included
        "4x4_dense0": rng.normal(1, 0.3, [8, 1, 1, 6]),  # of maps, before they are flattened
    }

    def append(x):
        deviation = reference.minibatch_stddev(x, 4)
        deviation = np.broadcast_to(deviation[:, None, None, None], [8, 4, 4, 1])
        return np.concatenate([x, deviation], axis=-1)

    expected = judged(images, weights, append=append, noise=lambda x, layer: x * factors[layer])
    given = []

    def noise(x, *, layer, num_minibatches):
        given.append((layer, num_minibatches))
        return x * tf.constant(factors[layer], tf.float32)

    actual = scores(discriminator, images, noise=noise)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
    assert given == [(layer, 1) for layer in factors]


def test_noise_at_4x4_has_the_layers_of_that_stage(rng):
    given = []

    def noise(x, *, layer, num_minibatches):
        given.append((layer, tuple(x.shape), num_minibatches))
        return x

    small = tf.zeros([6, 4, 4, 3])
    Discriminator(config())(small, resolution=4, noise=noise, num_minibatches=2)
    assert given == [("4x4_conv", (6, 4, 4, 7), 2), ("4x4_dense0", (6, 4, 4, 6), 2)]
    given.clear()
    Discriminator(config(convs_per_resolution=1))(
        small, resolution=4, noise=noise, num_minibatches=2
    )
    assert given == [("4x4_flat", (6, 4, 4, 7), 2)]
