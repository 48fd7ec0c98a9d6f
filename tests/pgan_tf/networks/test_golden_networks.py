"""The networks, losses and gradients against numbers measured from the original implementation."""

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
from tests.helpers.golden import GOLDEN
from tests.helpers.original_networks import from_original, original_name

RGB = ("networks_16_rgb.npz", {"resolution": 16, "fmap_base": 64, "fmap_max": 16})
GRAY_LABELS = (
    "networks_8_gray_labels.npz",
    {"resolution": 8, "fmap_base": 64, "fmap_max": 8, "channels": 1, "label_size": 3},
)
CASES = [
    *((*RGB, lod) for lod in ("0.00", "0.50", "1.00", "1.75", "2.00")),
    *((*GRAY_LABELS, lod) for lod in ("0.00", "0.25", "1.00")),
]


class Golden:
    """One file's networks and inputs, at one of its lods."""

    def __init__(self, file, shape, lod, fuse_resampling):
        self.arrays = np.load(GOLDEN / file)
        self.lod = f"lod={lod}"
        self.config = NetworkConfig(**shape, fuse_resampling=fuse_resampling)
        self.generator = self._load(Generator(self.config), "G")
        self.discriminator = self._load(Discriminator(self.config), "D")
        steps_down = int(float(lod))
        self.upscaling = 2**steps_down
        self.resolution = self.config.resolution // self.upscaling
        fraction = float(lod) - steps_down
        self.alpha = tf.constant(1.0 - fraction) if fraction else None
        self.latents = tf.constant(self.arrays["latents"])
        self.labels = tf.constant(self.arrays["labels"]) if self.config.label_size else None
        reals = self.arrays["reals"]
        for _ in range(steps_down):
            b, c, h, w = reals.shape
            reals = reals.reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5))
        self.reals = tf.constant(reals.transpose(0, 2, 3, 1))
        self.mixing = tf.constant(self.arrays["mixing"])

    def _load(self, network, prefix):
        for path, variable in network.variables.items():
            name = original_name(network.name, path, self.config.resolution)
            variable.assign(from_original(name, self.arrays[f"{prefix}/{name}"]))
        return network

    def expected(self, name):
        return self.arrays[f"{self.lod}/{name}"]

    def check_gradients(self, network, prefix, variables, gradients):
        computed = {v.path: g.numpy() for v, g in zip(variables, gradients, strict=True)}
        for path, variable in network.variables.items():
            name = original_name(network.name, path, self.config.resolution)
            expected = from_original(name, self.expected(f"{prefix}_grad/{name}"))
            # Variables that a stage does not use have no gradient here, and zeros in the original.
            actual = computed.get(path, np.zeros(variable.shape, np.float32))
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-6, err_msg=path)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0][9:-4]}-lod{case[2]}")
def golden(request):
    return Golden(*request.param, fuse_resampling=True)


@pytest.fixture(params=[CASES[0], CASES[1], CASES[6]], ids=lambda case: f"lod{case[2]}")
def unfused_arithmetic(request):
    return Golden(*request.param, fuse_resampling=False)


def check_images_and_scores(golden):
    stage = {"resolution": golden.resolution, "alpha": golden.alpha}
    images = golden.generator(golden.latents, golden.labels, **stage)
    enlarged = images.numpy().transpose(0, 3, 1, 2)
    enlarged = enlarged.repeat(golden.upscaling, 2).repeat(golden.upscaling, 3)
    np.testing.assert_allclose(enlarged, golden.expected("images"), rtol=1e-4, atol=1e-5)
    for kind, shown in (("real", golden.reals), ("fake", images)):
        scores, logits = golden.discriminator(shown, **stage)
        expected = golden.expected(f"{kind}_scores")
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
        if golden.labels is None:
            assert logits is None
        else:
            expected = golden.expected(f"{kind}_logits")
            np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def check_losses_and_gradients(golden):
    stage = {"resolution": golden.resolution, "alpha": golden.alpha, "training": True}
    generator = functools.partial(golden.generator, **stage)
    discriminator = functools.partial(golden.discriminator, **stage)
    fading = golden.alpha is not None
    variables = golden.discriminator.variables_at(golden.resolution, fading=fading)
    gradients, terms = discriminator_gradients(
        generator,
        discriminator,
        variables,
        LossConfig(),
        norm_scale=gradient_norm_scale(
            LossConfig(), golden.resolution, golden.config.final_resolution
        ),
        reals=golden.reals,
        labels=golden.labels,
        latents=golden.latents,
        mixing=golden.mixing,
    )
    np.testing.assert_allclose(terms["loss/discriminator"], golden.expected("d_loss"), rtol=1e-4)
    norm = golden.expected("gradient_norms").mean()
    np.testing.assert_allclose(terms["loss/gradient_norm"], norm, rtol=1e-4)
    golden.check_gradients(golden.discriminator, "d", variables, gradients)

    variables = golden.generator.variables_at(golden.resolution, fading=fading)
    gradients, terms = generator_gradients(
        generator,
        discriminator,
        variables,
        LossConfig(),
        labels=golden.labels,
        latents=golden.latents,
    )
    np.testing.assert_allclose(
        terms["loss/generator"], golden.expected("g_loss"), rtol=1e-4, atol=1e-5
    )
    golden.check_gradients(golden.generator, "g", variables, gradients)


def test_images_scores_and_logits_equal_the_originals(golden):
    check_images_and_scores(golden)


def test_losses_and_all_gradients_equal_the_originals(golden):
    check_losses_and_gradients(golden)


def test_unfused_arithmetic_gives_the_same_numbers(unfused_arithmetic):
    check_images_and_scores(unfused_arithmetic)
    check_losses_and_gradients(unfused_arithmetic)


def test_gradient_norms_of_each_sample_equal_the_originals(golden):
    from pgan_tf.step import losses

    stage = {"resolution": golden.resolution, "alpha": golden.alpha}
    fakes = golden.generator(golden.latents, golden.labels, **stage)
    squares = losses.squared_gradient_norms(
        lambda images: golden.discriminator(images, **stage)[0],
        losses.mix(golden.reals, fakes, golden.mixing),
        scale=golden.resolution / golden.config.resolution,
    )
    np.testing.assert_allclose(np.sqrt(squares), golden.expected("gradient_norms"), rtol=1e-4)
