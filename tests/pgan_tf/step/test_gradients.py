"""Losses of toy networks against NumPy, and their gradients against finite differences."""

import functools
import types

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import LossConfig
from pgan_tf.networks.discriminator import DiscriminatorOutput
from pgan_tf.step.gradients import (
    discriminator_gradients,
    generator_gradients,
    gradient_norm_scale,
    penalty_gradients,
    simultaneous_gradients,
)
from pgan_tf.step.train_state import TrainState
from tests.helpers.tiny import tiny_config

LABELS = np.eye(3)[[0, 1, 2, 0, 1]]


class Toy:
    """G(z) = z * gain + labels @ shift; D(x) = x . w + c |x|^2 / 2, with logits x @ v; 2x2 images.

    Its variables are float64, so that finite differences tell gradients to many digits.
    """

    def __init__(self):
        rng = np.random.default_rng(3)
        self.generator = {"gain": rng.normal(size=4), "shift": rng.normal(size=(3, 4))}
        self.discriminator = {
            "w": rng.normal(size=4),
            "c": rng.normal(size=1),
            "v": rng.normal(size=(4, 3)),
        }
        self.reals, self.latents = rng.normal(size=(2, 5, 4))
        self.mixing = rng.uniform(size=(5, 1))

    def variables(self, network):
        return [types.SimpleNamespace(value=tf.Variable(v)) for v in network.values()]

    def networks(self, g, d):
        """Return both networks as `gradients.py` calls them, with labels."""
        gain, shift = (variable.value for variable in g)
        w, c, v = (variable.value for variable in d)

        def generator(latents, labels):
            images = latents * gain + (0.0 if labels is None else labels @ shift)
            return tf.reshape(images, [-1, 2, 2, 1])

        def discriminator(images, *, num_minibatches=1):
            x = tf.reshape(images, [-1, 4])
            score = tf.reduce_sum(x * w, axis=1) + c[0] * tf.reduce_sum(x * x, axis=1) / 2
            return DiscriminatorOutput(score, x @ v)

        return generator, discriminator

    def tensors(self, labels):
        return {
            "reals": tf.constant(self.reals.reshape(-1, 2, 2, 1)),
            "labels": None if labels is None else tf.constant(labels),
            "latents": tf.constant(self.latents),
            "mixing": tf.constant(self.mixing.reshape(-1, 1, 1, 1)),
        }


def fakes_of(toy, g, labels):
    return toy.latents * g["gain"] + (0.0 if labels is None else labels @ g["shift"])


def score(d, x):
    return x @ d["w"] + d["c"][0] * (x * x).sum(axis=1) / 2


def cross_entropy(d, x, labels):
    logits = x @ d["v"]
    return np.log(np.exp(logits).sum(axis=1)) - (logits * labels).sum(axis=1)


def squared_norms(d, x):
    return ((d["w"] + d["c"][0] * x) ** 2).sum(axis=1)


def discriminator_loss(toy, config, g, d, labels):
    fakes = fakes_of(toy, g, labels)
    real, fake = score(d, toy.reals), score(d, fakes)
    scale = 0.5 if config.gradient_penalty_resolution == "final" else 1.0  # 8x8 of 16x16
    if config.loss == "wgan_gp":
        mixed = toy.mixing * fakes + (1 - toy.mixing) * toy.reals
        norms = scale * np.sqrt(squared_norms(d, mixed))
        target = config.gradient_penalty_target
        loss = fake - real + config.drift_weight * real**2
        loss += config.gradient_penalty_weight * (norms / target - 1) ** 2
    elif config.loss == "lsgan":
        loss = (real - 1) ** 2 + fake**2
    else:
        loss = (
            np.log1p(np.exp(-(real - fake)))
            if config.loss == "rpgan"
            else np.log1p(np.exp(-real)) + np.log1p(np.exp(fake))
        )
        loss += config.r1_gamma / 2 * scale**2 * squared_norms(d, toy.reals)
        loss += config.r2_gamma / 2 * scale**2 * squared_norms(d, fakes)
    if labels is not None:
        entropies = cross_entropy(d, toy.reals, labels) + cross_entropy(d, fakes, labels)
        loss = loss + config.label_weight * entropies
    return loss.mean()


def generator_loss(toy, config, g, d, labels, weight):
    fakes = fakes_of(toy, g, labels)
    real, fake = score(d, toy.reals), score(d, fakes)
    loss = {
        "wgan_gp": -fake,
        "lsgan": (fake - 1) ** 2,
        "logistic": np.log1p(np.exp(-fake)),
        "rpgan": np.log1p(np.exp(-(fake - real))),
    }[config.loss]
    if labels is not None:
        loss = loss + weight * cross_entropy(d, fakes, labels)
    return loss.mean()


def differences(loss, parameters):
    """Return the gradients of a function of named arrays, by central differences."""
    gradients = []
    for name, value in parameters.items():
        gradient = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            step = np.zeros_like(value)
            step[index] = 1e-6
            above, below = ({**parameters, name: value + sign * step} for sign in (1, -1))
            gradient[index] = (loss(above) - loss(below)) / 2e-6
        gradients.append(gradient)
    return gradients


def check(actual, expected):
    for gradient, reference in zip(actual, expected, strict=True):
        zeros = np.zeros_like(reference)  # what a loss does not depend on has no gradient
        given = zeros if gradient is None else gradient
        np.testing.assert_allclose(given, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [None, LABELS], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_penalty_target": 750.0},
        {"gradient_penalty_resolution": "stage"},
        {"drift_weight": 0.0},
        {"gradient_penalty_weight": 0.0, "drift_weight": 0.3},
        {"label_weight": 0.3},
        {"label_weight": 0.0, "generator_label_weight": 2.0},
        {"loss": "lsgan"},
        {"loss": "logistic"},
        {"loss": "logistic", "r1_gamma": 0.0},
        {"loss": "logistic", "r1_gamma": 3.0, "gradient_penalty_resolution": "stage"},
        {"loss": "logistic", "r1_gamma": 3.0, "r2_gamma": 0.7},
        {"loss": "logistic", "r1_gamma": 0.0, "r2_gamma": 0.7},
        {"loss": "rpgan"},
        {"loss": "rpgan", "r1_gamma": 2.0, "gradient_penalty_resolution": "stage"},
        {"loss": "rpgan", "r1_gamma": 2.0, "r2_gamma": 0.3, "label_weight": 0.4},
        {"loss": "rpgan", "r1_gamma": 0.0},
    ],
    ids=str,
)
def test_losses_and_gradients_are_those_of_their_formulas(options, labels):
    toy = Toy()
    config = LossConfig(**options).with_gammas(8, final_resolution=16, batch_size=5)
    g, d = toy.variables(toy.generator), toy.variables(toy.discriminator)
    given, norm_scale = toy.tensors(labels), gradient_norm_scale(config, 8, 16)
    expected = differences(
        lambda d: discriminator_loss(toy, config, toy.generator, d, labels), toy.discriminator
    )
    gradients, scalars = discriminator_gradients(
        *toy.networks(g, d), d, config, norm_scale=norm_scale, **given
    )
    check(gradients, expected)
    loss = discriminator_loss(toy, config, toy.generator, toy.discriminator, labels)
    assert float(scalars["loss/discriminator"]) == pytest.approx(loss)

    weight = options.get("generator_label_weight", options.get("label_weight", 1.0))
    of_generator = differences(
        lambda g: generator_loss(toy, config, g, toy.discriminator, labels, weight), toy.generator
    )
    shown = {name: given[name] for name in ("labels", "latents")}
    if config.loss == "rpgan":
        shown["reals"] = given["reals"]
    gradients, scalars = generator_gradients(*toy.networks(g, d), g, config, **shown)
    check(gradients, of_generator)
    loss = generator_loss(toy, config, toy.generator, toy.discriminator, labels, weight)
    assert float(scalars["loss/generator"]) == pytest.approx(loss)

    first, second, scalars = simultaneous_gradients(
        *toy.networks(g, d), g, d, config, norm_scale=norm_scale, **given
    )
    check(first, of_generator)
    check(second, expected)
    assert float(scalars["loss/generator"]) == pytest.approx(loss)


@pytest.mark.parametrize(
    ("options", "penalty", "drift", "passes"),
    [
        ({}, True, True, 2),
        ({"drift_weight": 0.0}, True, False, 2),
        ({"gradient_penalty_weight": 0.0}, False, True, 1),
        ({"loss": "lsgan"}, False, False, 1),
        ({"loss": "logistic"}, True, False, 2),
        ({"loss": "logistic", "r1_gamma": 0.0}, False, False, 1),
        ({"loss": "rpgan"}, True, False, 2),
        ({"loss": "rpgan", "r1_gamma": 0.0}, False, False, 1),
    ],
    ids=str,
)
def test_a_term_of_no_weight_is_neither_computed_nor_reported(options, penalty, drift, passes):
    toy = Toy()
    g, d = toy.variables(toy.generator), toy.variables(toy.discriminator)
    generator, discriminator = toy.networks(g, d)
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return discriminator(*args, **kwargs)

    config = LossConfig(**options).with_gammas(8, final_resolution=16, batch_size=5)
    _, scalars = discriminator_gradients(
        generator, counted, d, config, norm_scale=1.0, **toy.tensors(None)
    )
    assert len(calls) == passes
    assert ("loss/gradient_penalty" in scalars) == ("loss/gradient_norm" in scalars) == penalty
    assert ("loss/drift" in scalars) == drift
    assert "loss/label_real" not in scalars


@pytest.mark.parametrize("labels", [None, LABELS], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize(
    "options",
    [
        {"loss": "logistic", "r1_gamma": 3.0},
        {"loss": "logistic", "r1_gamma": 0.0, "r2_gamma": 0.7},
        {"loss": "rpgan", "r1_gamma": 2.0, "r2_gamma": 0.3},
    ],
    ids=str,
)
def test_a_penalty_by_itself_is_what_the_loss_lacks_times_the_interval(options, labels):
    toy = Toy()
    g, d = toy.variables(toy.generator), toy.variables(toy.discriminator)
    given = {**toy.tensors(labels), "norm_scale": 0.5}

    def gradients(function, loss):
        loss = loss.with_gammas(8, final_resolution=16, batch_size=5)
        found, scalars = function(*toy.networks(g, d), d, loss, **given)
        return [0.0 if x is None else tf.convert_to_tensor(x) for x in found], scalars

    plain, lazy = LossConfig(**options), LossConfig(**options, penalty_interval=3)
    both, both_scalars = gradients(discriminator_gradients, plain)
    main, main_scalars = gradients(discriminator_gradients, lazy)
    penalty, penalty_scalars = gradients(penalty_gradients, lazy)
    for total, first, second in zip(both, main, penalty, strict=True):
        np.testing.assert_allclose(total, first + second / 3, rtol=1e-6, atol=1e-9)
    assert both_scalars.keys() == main_scalars.keys() | penalty_scalars.keys()
    assert not main_scalars.keys() & penalty_scalars.keys()


def test_gradients_of_one_pass_are_those_of_both_steps_with_its_latents(one_device, rng):
    config = tiny_config(label_size=3)
    state = TrainState(config, one_device)
    g = state.generator.variables_at(8, fading=True)
    d = state.discriminator.variables_at(8, fading=True)
    labels = tf.constant(np.eye(3)[np.arange(8) % 3], tf.float32)
    shown = {
        "labels": labels,
        "latents": tf.constant(rng.normal(size=[8, 8]), tf.float32),
    }
    more = {
        "reals": tf.constant(rng.normal(size=[8, 8, 8, 3]), tf.float32),
        "mixing": tf.constant(rng.uniform(size=[8, 1, 1, 1]), tf.float32),
        "norm_scale": 1.0,
    }
    networks = [
        functools.partial(network, resolution=8, alpha=tf.constant(0.3), training=True)
        for network in (state.generator, state.discriminator)
    ]
    of_d, d_scalars = discriminator_gradients(*networks, d, config.loss, **shown, **more)
    of_g, g_scalars = generator_gradients(*networks, g, config.loss, **shown)
    both_g, both_d, scalars = simultaneous_gradients(*networks, g, d, config.loss, **shown, **more)
    assert scalars.keys() == d_scalars.keys() | g_scalars.keys()
    for actual, expected in ((both_g, of_g), (both_d, of_d)):
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_generator_gradients_do_not_touch_the_discriminator(one_device):
    config = tiny_config()
    state = TrainState(config, one_device)
    variables = state.generator.variables_at(8, fading=False)
    gradients, scalars = generator_gradients(
        functools.partial(state.generator, resolution=8, training=True),
        functools.partial(state.discriminator, resolution=8, training=True),
        variables,
        LossConfig(),
        labels=None,
        latents=tf.ones([8, 8]),
    )
    assert len(gradients) == len(variables)
    assert set(scalars) == {"loss/generator"}
