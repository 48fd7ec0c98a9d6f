"""Networks and losses of rectangles with alpha, against the same written out in NumPy."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig, NetworkConfig
from pgan_tf.networks.discriminator import Discriminator
from pgan_tf.networks.generator import Generator
from pgan_tf.step.gradients import (
    discriminator_gradients,
    generator_gradients,
    gradient_norm_scale,
)
from tests.helpers import layer_reference as reference
from tfrecords_tools.shape import Base

RESOLUTION, FINAL, ALPHA = 8, 16, 0.3
WIDE, TALL = Base(height=4, width=6), Base(height=5, width=4)
SAMPLES, LABELS = 2, 3


def config(base):
    return NetworkConfig(
        resolution=FINAL, fmap_base=32, fmap_max=5, channels=4, label_size=LABELS, base=base
    )


def pixel_norm(x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-8)


def generated(latents, weights, base):
    """Images at resolution 8, fading."""

    def layer(x, name):
        return pixel_norm(reference.leaky_relu(reference.weighted(x, name, weights)))

    x = reference.weighted(pixel_norm(latents), "4x4_dense", weights, gain=2**0.5 / 4)
    x = x.reshape(len(x), -1, *base).transpose(0, 2, 3, 1) + weights["4x4_dense_bias/bias"]
    x = layer(pixel_norm(reference.leaky_relu(x)), "4x4_conv")
    lower = reference.weighted(x, "to_rgb_4x4", weights, gain=1.0)
    x = layer(layer(reference.upscale(x), "8x8_conv0"), "8x8_conv1")
    images = reference.weighted(x, "to_rgb_8x8", weights, gain=1.0)
    lower = reference.upscale(lower)
    return lower + (images - lower) * ALPHA


def judged(images, weights):
    """Scores and label logits at resolution 8, fading."""

    def layer(x, name, after=lambda x: x):
        return reference.leaky_relu(after(reference.weighted(x, name, weights)))

    x = layer(layer(images, "from_rgb_8x8"), "8x8_conv0")
    x = layer(x, "8x8_conv1", after=reference.downscale)
    lower = layer(reference.downscale(images), "from_rgb_4x4")
    x = lower + (x - lower) * ALPHA
    deviation = reference.minibatch_stddev(x, 4)[:, None, None, None]
    x = np.concatenate([x, np.broadcast_to(deviation, [*x.shape[:3], 1])], axis=-1)
    x = layer(x, "4x4_conv")
    x = layer(x.transpose(0, 3, 1, 2).reshape(len(x), -1), "4x4_dense0")
    x = reference.weighted(x, "4x4_dense1", weights, gain=1.0)
    return x[:, 0], x[:, 1:]


def cross_entropy(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - (shifted * labels).sum(axis=1)


def gradient_norms(images, weights):
    """Norms of the gradient of the scores' sum to each image, by differences."""
    gradient = np.empty_like(images)
    for place in np.ndindex(images.shape):
        step = np.zeros_like(images)
        step[place] = 1e-6
        ahead, behind = (judged(images + s, weights)[0].sum() for s in (step, -step))
        gradient[place] = (ahead - behind) / 2e-6
    return np.sqrt((gradient**2).sum(axis=(1, 2, 3)))


def discriminator_loss(weights, fakes, batch):
    """WGAN-GP (section 2.1 of Gulrajani et al. 2017, with the paper's drift) and AC-GAN's terms."""
    real, real_logits = judged(batch["reals"], weights)
    fake, fake_logits = judged(fakes, weights)
    mixed = batch["reals"] + (fakes - batch["reals"]) * batch["mixing"]
    norms = gradient_norms(mixed, weights) * RESOLUTION / FINAL
    loss = fake - real + 10 * (norms - 1) ** 2 + 0.001 * real**2
    loss += cross_entropy(real_logits, batch["labels"])
    loss += cross_entropy(fake_logits, batch["labels"])
    return loss.mean(), norms


def generator_loss(weights, of_discriminator, base, batch):
    fakes = generated(np.concatenate([batch["latents"], batch["labels"]], 1), weights, base)
    scores, logits = judged(fakes, of_discriminator)
    return (cross_entropy(logits, batch["labels"]) - scores).mean()


def moved(weights, directions, step):
    return {path: value + step * directions.get(path, 0) for path, value in weights.items()}


def tensors(batch, *names):
    return {name: tf.constant(batch[name], tf.float32) for name in names}


@pytest.mark.parametrize("base", [WIDE, TALL], ids=["wide", "tall"])
def test_images_losses_and_gradients_are_numpys(rng, base):
    networks = {"G": Generator(config(base)), "D": Discriminator(config(base))}
    weights = {name: reference.randomised(network, rng) for name, network in networks.items()}
    height, width = base.size_at(RESOLUTION)
    batch = {
        "reals": rng.uniform(-1, 1, [SAMPLES, height, width, 4]),
        "labels": np.eye(LABELS)[[2, 0]],
        "latents": rng.normal(size=[SAMPLES, 5]),
        "mixing": rng.uniform(size=[SAMPLES, 1, 1, 1]),
    }
    stage = {"resolution": RESOLUTION, "alpha": tf.constant(ALPHA), "training": True}
    bound = {name: functools.partial(network, **stage) for name, network in networks.items()}
    variables = {n: net.variables_at(RESOLUTION, fading=True) for n, net in networks.items()}

    fakes = generated(np.concatenate([batch["latents"], batch["labels"]], 1), weights["G"], base)
    given = tensors(batch, "reals", "labels", "latents", "mixing")
    images = bound["G"](given["latents"], given["labels"])
    assert images.shape == (SAMPLES, height, width, 4)
    np.testing.assert_allclose(images, fakes, rtol=1e-4, atol=1e-4)
    for computed, expected in zip(
        bound["D"](given["reals"]), judged(batch["reals"], weights["D"]), strict=True
    ):
        np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4)

    scale = gradient_norm_scale(LossConfig(), RESOLUTION, FINAL)
    gradients, scalars = discriminator_gradients(
        bound["G"], bound["D"], variables["D"], LossConfig(), norm_scale=scale, **given
    )
    loss, norms = discriminator_loss(weights["D"], fakes, batch)
    np.testing.assert_allclose(scalars["loss/discriminator"], loss, rtol=1e-4)
    np.testing.assert_allclose(scalars["loss/gradient_norm"], norms.mean(), rtol=1e-4)
    check_slope(
        rng,
        variables["D"],
        gradients,
        lambda directions, step: discriminator_loss(
            moved(weights["D"], directions, step), fakes, batch
        )[0],
    )
    gradients, scalars = generator_gradients(
        bound["G"],
        bound["D"],
        variables["G"],
        LossConfig(),
        labels=given["labels"],
        latents=given["latents"],
    )
    loss = generator_loss(weights["G"], weights["D"], base, batch)
    np.testing.assert_allclose(scalars["loss/generator"], loss, rtol=1e-4)
    check_slope(
        rng,
        variables["G"],
        gradients,
        lambda directions, step: generator_loss(
            moved(weights["G"], directions, step), weights["D"], base, batch
        ),
    )


def check_slope(rng, variables, gradients, loss):
    """Compare gradients with the slope of a loss along a random direction of all weights."""
    directions = {v.path: rng.normal(size=v.shape) for v in variables}
    slope = sum(
        (np.asarray(gradient, np.float64) * directions[variable.path]).sum()
        for variable, gradient in zip(variables, gradients, strict=True)
    )
    expected = (loss(directions, 1e-6) - loss(directions, -1e-6)) / 2e-6
    norm = np.sqrt(sum((np.asarray(gradient, np.float64) ** 2).sum() for gradient in gradients))
    np.testing.assert_allclose(slope, expected, atol=1e-3 * norm, rtol=0)


def test_layers_above_the_base_have_the_weights_of_squares():
    of_squares, of_rectangles = (
        {spec.name: spec.variables for spec in Discriminator(c).layers + Generator(c).layers}
        for c in (config(Base(4, 4)), config(WIDE))
    )
    differing = {name for name in of_squares if of_squares[name] != of_rectangles[name]}
    assert differing == {"4x4_dense", "4x4_dense0"}
