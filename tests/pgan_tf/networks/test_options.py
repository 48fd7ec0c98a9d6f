"""Each option of the networks, alone, against the same network written out in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import NetworkConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from tests.helpers import layer_reference as reference

pytestmark = pytest.mark.slow

EPSILON = 1e-4


def config(**options):
    return NetworkConfig(resolution=8, fmap_base=32, fmap_max=6, **options)


def normalized(x, axes, *, mean=None, variance=None):
    mean = x.mean(axes, keepdims=True) if mean is None else mean
    variance = x.var(axes, keepdims=True) if variance is None else variance
    return (x - mean) / np.sqrt(variance + EPSILON)


def generated(latents, weights, options, *, training=False):
    """Images at 8x8 and at alpha 0.25."""
    norm = options.get("generator_norm", "pixel")
    epsilon = options.get("pixel_norm_epsilon", 1e-8)
    negative_slope = options.get("generator_leak", 0.2)
    if options.get("generator_activation") == "relu":
        negative_slope = 0.0
    equalized = options.get("equalized_learning_rate", True)

    def pixel_norm(x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)

    def finish(x, name):
        if norm == "batch":
            of = {kind: weights[f"{name}_norm/{kind}"] for kind in ("scale", "bias")}
            axes = tuple(range(x.ndim - 1))
            moving = {kind: weights[f"{name}_norm/moving_{kind}"] for kind in ("mean", "variance")}
            x = normalized(x, axes, **({} if training else moving)) * of["scale"] + of["bias"]
        x = np.where(x > 0, x, negative_slope * x)
        return pixel_norm(x) if norm == "pixel" else x

    x = pixel_norm(latents) if options.get("normalize_latents", True) else latents
    x = reference.weighted(x, "4x4_dense", weights, gain=2**0.5 / 4, equalized=equalized)
    x = x.reshape(len(x), -1, 4, 4).transpose(0, 2, 3, 1) + weights.get("4x4_dense_bias/bias", 0.0)
    x = finish(x, "4x4_dense")
    x = finish(reference.weighted(x, "4x4_conv", weights, equalized=equalized), "4x4_conv")
    lower = reference.weighted(x, "to_rgb_4x4", weights, gain=1.0, equalized=equalized)
    x = reference.upscale(x)
    for name in ("8x8_conv0", "8x8_conv1"):
        x = finish(reference.weighted(x, name, weights, equalized=equalized), name)
    images = reference.weighted(x, "to_rgb_8x8", weights, gain=1.0, equalized=equalized)
    lower = reference.upscale(lower)
    images = lower + (images - lower) * 0.25
    return np.tanh(images) if options.get("output_activation") == "tanh" else images


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"generator_norm": "none"},
        {"normalize_latents": False},
        {"pixel_norm_epsilon": 0.5},
        {"generator_norm": "none", "pixel_norm_epsilon": 0.5},  # of latents
        {"generator_activation": "relu"},
        {"generator_leak": 0.7},
        {"output_activation": "tanh"},
        {"equalized_learning_rate": False},
        {"generator_norm": "batch"},
    ],
    ids=lambda options: " ".join(f"{k}={v}" for k, v in options.items()) or "plain",
)
def test_the_generator_computes_what_numpy_does(rng, options):
    generator = Generator(config(**options))
    weights = reference.randomised(generator, rng)
    latents = rng.normal(size=[5, 6])
    stage = {"resolution": 8, "alpha": tf.constant(0.25)}
    inputs = tf.constant(latents, tf.float32)
    expected = generated(latents, weights, options)
    np.testing.assert_allclose(generator(inputs, **stage), expected, rtol=1e-4, atol=1e-4)
    if options.get("generator_norm") == "batch":
        expected = generated(latents, weights, options, training=True)
        actual = generator(inputs, **stage, training=True)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
    if options:
        plain = {k: v for k, v in weights.items() if "_norm/" not in k}
        assert np.abs(generated(latents, plain, {}) - expected).max() > 0.01, "no difference"


def test_an_image_of_a_generator_with_batch_norm_does_not_depend_on_the_others(rng):
    generator = Generator(config(generator_norm="batch"))
    latents = tf.constant(rng.normal(size=[4, 6]), tf.float32)
    for _ in range(3):
        generator(latents, resolution=8, training=True)
    images = generator(latents, resolution=8)
    np.testing.assert_allclose(generator(latents[:1], resolution=8), images[:1], atol=1e-6)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("fused_scale", [True, False])
def test_the_discriminator_normalizes_what_numpy_does(rng, norm, fused_scale):
    discriminator = Discriminator(config(discriminator_norm=norm, fused_scale=fused_scale))
    weights = reference.randomised(discriminator, rng)
    images = rng.normal(size=[4, 8, 8, 3])

    def hidden(x, name, after=lambda x: x):
        x = after(reference.weighted(x, name, weights))
        of = {k.split("/")[1]: v for k, v in weights.items() if k.startswith(f"{name}_norm/")}
        if norm == "layer":
            x = normalized(x, tuple(range(1, x.ndim))) * of["gain"] + of["bias"]
        if norm == "batch":
            x = normalized(x, tuple(range(x.ndim - 1))) * of["scale"] + of["bias"]
        return reference.leaky_relu(x)

    x = reference.leaky_relu(reference.weighted(images, "from_rgb_8x8", weights))
    x = hidden(x, "8x8_conv0")
    if fused_scale:
        x = hidden(x, "8x8_conv1", after=reference.downscale)
    else:
        x = reference.downscale(hidden(x, "8x8_conv1"))
    deviation = reference.minibatch_stddev(x, 4)
    deviation = np.broadcast_to(deviation[:, None, None, None], [*x.shape[:3], 1])
    x = hidden(np.concatenate([x, deviation], axis=-1), "4x4_conv")
    x = hidden(x.transpose(0, 3, 1, 2).reshape(4, -1), "4x4_dense0")
    expected = reference.weighted(x, "4x4_dense1", weights, gain=1.0)[:, 0]

    scores, _ = discriminator(tf.constant(images, tf.float32), resolution=8, training=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)


def test_minibatches_judged_in_one_pass_are_normalized_separately(rng):
    discriminator = Discriminator(config(discriminator_norm="batch"))
    reals, fakes = (tf.constant(rng.normal(m, 1.0, [4, 8, 8, 3]), tf.float32) for m in (0, 2))
    stage = {"resolution": 8, "training": True}
    together, _ = discriminator(tf.concat([reals, fakes], axis=0), num_minibatches=2, **stage)
    apart = [discriminator(images, **stage)[0] for images in (reals, fakes)]
    np.testing.assert_allclose(together, tf.concat(apart, axis=0), rtol=1e-4, atol=1e-5)
    mixed, _ = discriminator(tf.concat([reals, fakes], axis=0), **stage)
    assert np.abs(mixed - together).max() > 0.01


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_the_gradient_penalty_of_a_normalized_discriminator_has_its_gradient(rng, norm):
    discriminator = Discriminator(config(discriminator_norm=norm))
    images = tf.constant(rng.normal(size=[4, 8, 8, 3]), tf.float32)
    variables = [v.value for v in discriminator.trainable_variables_at(8, fading=False)]

    @tf.function(autograph=False)
    def penalty():
        with tf.GradientTape() as tape:
            tape.watch(images)
            scores, _ = discriminator(images, resolution=8, training=True)
            total = tf.reduce_sum(scores)
        gradients = tape.gradient(total, images)
        norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]))
        return tf.reduce_mean(tf.square(norms - 1.0))

    with tf.GradientTape() as tape:
        value = penalty()
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    # Along the gradient itself, so that the difference is large compared with rounding.
    length = float(tf.linalg.global_norm(gradients))
    assert length > 0.01
    values, size = [], 0.002
    for sign in (1.0, -2.0):
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_add(sign * size * gradient / length)
        values.append(float(penalty()))
    assert (values[0] - values[1]) / (2 * size) == pytest.approx(length, rel=0.02)


def test_without_equalized_learning_rate_weights_start_as_they_are_used():
    equalized, plain = Generator(config()), Generator(config(equalized_learning_rate=False))
    assert list(equalized.variables) == list(plain.variables)
    kernel = equalized.variables["8x8_conv0/kernel"].numpy()
    scaled = kernel * np.sqrt(2 / (9 * kernel.shape[2]))
    np.testing.assert_allclose(plain.variables["8x8_conv0/kernel"], scaled, rtol=1e-5)
    latents = tf.random.stateless_normal([3, 6], [1, 2])
    images = equalized(latents, resolution=8)
    np.testing.assert_allclose(plain(latents, resolution=8), images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norms", [("pixel", "none"), ("batch", "layer"), ("batch", "batch")])
@pytest.mark.parametrize(("resolution", "alpha"), [(4, None), (8, 0.5)])
def test_a_stage_trains_what_it_runs_through_but_moving_statistics(rng, norms, resolution, alpha):
    options = config(generator_norm=norms[0], discriminator_norm=norms[1])
    generator, discriminator = Generator(options), Discriminator(options)
    latents = tf.constant(rng.normal(size=[4, 6]), tf.float32)
    stage = {"resolution": resolution, "alpha": alpha}
    with tf.GradientTape(persistent=True) as tape:
        images = generator(latents, **stage, training=True)
        scores, _ = discriminator(images, **stage, training=True)
    for network in (generator, discriminator):
        gradients = tape.gradient(scores, {p: v.value for p, v in network.variables.items()})
        active = network.trainable_variables_at(resolution, fading=alpha is not None)
        assert {p for p, g in gradients.items() if g is not None} == {v.path for v in active}
        here = network.variables_at(resolution, fading=alpha is not None)
        rest = {v.path for v in here} - {v.path for v in active}
        assert rest == {v.path for v in here if "moving_" in v.path}
        assert set(network.trainable_variables) == {
            p for p in network.variables if "moving" not in p
        }
