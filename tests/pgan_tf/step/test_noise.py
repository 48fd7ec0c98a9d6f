"""Noise is TensorFlow's, in numbers that do not depend on compilation."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.step import noise

SEED = tf.constant([5, 6], tf.int64)
CASES = [
    (noise.uniform, tf.random.stateless_uniform, 0.0),
    (noise.normal, tf.random.stateless_normal, 1e-5),
]


@pytest.mark.parametrize(("draw", "reference", "atol"), CASES, ids=["uniform", "normal"])
@pytest.mark.parametrize("shape", [[1], [5, 3], [7, 4, 4, 3], [64, 100]], ids=str)
def test_noise_is_that_of_tensorflow(draw, reference, atol, shape):
    np.testing.assert_allclose(draw(shape, SEED), reference(shape, SEED), rtol=0, atol=atol)


@pytest.mark.parametrize(("draw", "reference", "atol"), CASES, ids=["uniform", "normal"])
def test_compiled_noise_is_that_of_the_plain_graph(draw, reference, atol):
    compiled = tf.function(lambda seed: draw([65, 3], seed), jit_compile=True)
    np.testing.assert_allclose(compiled(SEED), draw([65, 3], SEED), rtol=0, atol=atol)


def test_normal_noise_is_normal():
    x = np.sort(noise.normal([100_000], SEED).numpy())
    quantiles = np.interp([0.1, 0.5, 0.9, 0.99], np.linspace(0, 1, x.size), x)
    np.testing.assert_allclose(quantiles, [-1.2816, 0.0, 1.2816, 2.3263], atol=0.02)
