"""Winograd's filtering against sums over the kernel."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.layers import EqualizedConv2D
from pgan_tf.layers.kernels import winograd
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.step.losses import squared_gradient_norms
from tests.helpers import layer_reference as reference


def direct(x, kernel):
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


@hypothesis.given(
    size=st.sampled_from([4, 8, 12, 16]),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 99),
)
@hypothesis.settings(max_examples=20)
def test_it_convolves(size, shape, seed):
    (batch, channels, filters), rng = shape, np.random.default_rng(seed)
    x = rng.normal(size=[batch, size, size, channels])
    kernel = rng.normal(size=[3, 3, channels, filters])
    expected = reference.convolve(x, kernel)
    actual = winograd.convolve(tf.constant(x), tf.constant(kernel))
    np.testing.assert_allclose(actual, expected, atol=1e-11)  # in float64


@pytest.mark.parametrize("size", [4, 8])
def test_rounding_errors_are_not_much_larger_than_a_direct_convolutions(rng, size):
    x = rng.normal(size=[16, size, size, 128])
    kernel = rng.normal(size=[3, 3, 128, 32])
    expected = reference.convolve(x, kernel)
    filtered = winograd.convolve(tf.constant(x, tf.float32), tf.constant(kernel, tf.float32))
    direct = convolve_term_by_term(x.astype(np.float32), kernel.astype(np.float32))
    ours, theirs = np.std(filtered - expected), np.std(direct - expected)
    assert ours / expected.std() < 3e-6
    assert ours < 3 * theirs


def convolve_term_by_term(x, kernel):
    """A direct convolution that adds one product at a time, in the precision of its inputs.

    TensorFlow's own sums in an order that depends on the processor, and so do its errors.
    """
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    total = np.zeros([*x.shape[:3], kernel.shape[3]], x.dtype)
    for row, column, channel in np.ndindex(kernel.shape[:3]):
        window = padded[:, row : row + height, column : column + width, channel, np.newaxis]
        total += window * kernel[row, column, channel]
    return total


def test_first_and_second_gradients_are_those_of_a_direct_convolution(rng):
    images, weights = rng.normal(size=[3, 8, 8, 5]), rng.normal(size=[3, 3, 5, 7])

    def gradients(convolve):
        x, kernel = tf.constant(images), tf.constant(weights)
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as inner:
                inner.watch([x, kernel])
                total = tf.reduce_sum(tf.square(convolve(x, kernel)))
            slopes = inner.gradient(total, [x, kernel])
            norm = sum(tf.reduce_sum(tf.square(slope)) for slope in slopes)
        return [*slopes, *outer.gradient(norm, [x, kernel])]

    for actual, expected in zip(gradients(winograd.convolve), gradients(direct), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_the_size_of_a_batch_may_be_unknown(rng):
    x = rng.normal(size=[3, 4, 4, 2]).astype(np.float32)
    kernel = tf.constant(rng.normal(size=[3, 3, 2, 5]).astype(np.float32))
    unknown = tf.TensorSpec([None, 4, 4, 2])
    traced = tf.function(lambda x: winograd.convolve(x, kernel), input_signature=[unknown])
    assert traced.get_concrete_function().output_shapes == [None, 4, 4, 5]
    np.testing.assert_allclose(traced(x), direct(x, kernel), atol=1e-5)


def spec(*shape, dtype="float32"):
    return tf.TensorSpec(shape, dtype)


@pytest.mark.parametrize(
    ("images", "kernel", "expected"),
    [
        (spec(32, 8, 8, 128), spec(3, 3, 128, 128), True),
        (spec(64, 4, 4, 129), spec(3, 3, 129, 128), True),
        (spec(16, 16, 16, 512), spec(3, 3, 512, 512), True),
        (spec(16, 16, 16, 128), spec(3, 3, 128, 128), False),  # the transforms' matrices are large
        (spec(64, 8, 8, 16), spec(3, 3, 16, 16), False),  # too few features to mix
        (spec(4, 4, 4, 128), spec(3, 3, 128, 128), False),  # the kernel's transform costs too much
        (spec(None, 8, 8, 128), spec(3, 3, 128, 128), False),
        (spec(32, None, None, 128), spec(3, 3, 128, 128), False),
        (spec(32, 8, 4, 128), spec(3, 3, 128, 128), False),
        (spec(32, 6, 6, 128), spec(3, 3, 128, 128), False),
        (spec(32, 8, 8, 128), spec(1, 1, 128, 128), False),
        (spec(32, 8, 8, 128, dtype="bfloat16"), spec(3, 3, 128, 128, dtype="bfloat16"), False),
    ],
)
def test_it_is_used_where_it_is_faster(images, kernel, expected):
    assert winograd.is_faster(images, kernel) is expected


def test_gpus_never_use_it(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    assert not winograd.is_faster(spec(32, 8, 8, 128), spec(3, 3, 128, 128))


def test_a_layer_uses_it_and_has_the_same_output(monkeypatch, rng):
    layer = EqualizedConv2D(64, seed=1)
    layer.build([None, 8, 8, 64])
    x = tf.constant(rng.normal(size=[32, 8, 8, 64]).astype(np.float32))
    taken = []
    monkeypatch.setattr(winograd, "convolve", lambda *args: taken.append(args) or direct(*args))
    expected = layer(x)
    assert len(taken) == 1
    monkeypatch.undo()
    np.testing.assert_allclose(layer(x), expected, atol=2e-5)
    assert (layer(x) != expected).numpy().any()


def test_networks_learn_the_same_with_it(monkeypatch, rng):
    config = NetworkConfig(resolution=8, channels=3, fmap_base=512, fmap_max=64)
    generator = Generator(config)
    discriminator = Discriminator(config)
    latents = tf.constant(rng.normal(size=[16, 64]).astype(np.float32))
    convolve, calls = winograd.convolve, []
    monkeypatch.setattr(winograd, "convolve", lambda *args: calls.append(0) or convolve(*args))

    def slopes():
        """Gradients of a generator's loss and a second-order penalty by all weights."""
        with tf.GradientTape() as tape:
            images = generator(latents, resolution=8, alpha=tf.constant(0.5))

            def judge(x):
                return discriminator(x, resolution=8, alpha=tf.constant(0.5))[0]

            norms = squared_gradient_norms(judge, tf.stop_gradient(images), scale=1.0)
            loss = tf.reduce_mean(judge(images)) + tf.reduce_mean(tf.square(tf.sqrt(norms) - 1.0))
        networks = (generator, discriminator)
        weights = [w for n in networks for w in n.trainable_variables_at(8, fading=True)]
        return tape.gradient(loss, [w.value for w in weights])

    with_it = slopes()
    assert len(calls) == 6  # two in the generator, two in each pass of the discriminator
    calls.clear()
    monkeypatch.setattr(winograd, "is_faster", lambda x, kernel: False)
    without = slopes()
    assert not calls
    for actual, expected in zip(with_it, without, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())
