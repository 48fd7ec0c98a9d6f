import keras
import numpy as np
import pytest

from pgan_tf.generating.truncation import with_truncation
from tests.helpers.generators import LATENT_SIZE, tiny_generator


@pytest.fixture
def latents(rng):
    return rng.standard_normal([6, LATENT_SIZE]).astype(np.float32)


def column(value):
    return np.full([6, 1], value, np.float32)


def test_at_one_nothing_changes(latents):
    model = tiny_generator()
    images = with_truncation(model)([latents, column(1.0)])
    np.testing.assert_allclose(images, model(latents), atol=1e-6)


def test_at_zero_each_latent_of_a_class_gives_the_same_image(latents):
    model = with_truncation(tiny_generator(label_size=2))
    labels = np.eye(2, dtype=np.float32)[[0, 1] * 3]
    # Labels take part in the normalization, so that latents of one length are needed.
    latents /= np.linalg.norm(latents, axis=1, keepdims=True)
    images = model([latents, labels, column(0.0)]).numpy()
    np.testing.assert_allclose(images[::2], images[:1].repeat(3, 0), atol=1e-5)
    np.testing.assert_allclose(images[1::2], images[1:2].repeat(3, 0), atol=1e-5)
    assert np.abs(images[0] - images[1]).max() > 0.05


@pytest.mark.parametrize("truncation", [0.0, 0.5, 0.9])
def test_features_are_interpolated_from_their_mean_over_latents(rng, truncation):
    # Against the definition, with the mean taken by sampling.
    model = tiny_generator()
    features = keras.Model(model.inputs[0], model.get_layer("4x4_dense_bias").output)
    latents = rng.standard_normal([2000, LATENT_SIZE]).astype(np.float32)
    both = np.concatenate([latents, -latents])  # a sample as symmetric as the distribution
    mean = features(both).numpy().mean(axis=0)
    expected = mean + truncation * (features(latents[:6]) - mean)
    truncated = with_truncation(features)([latents[:6], column(truncation)])
    np.testing.assert_allclose(truncated, expected, atol=1e-5)


def test_variety_shrinks_with_truncation(latents):
    model = with_truncation(tiny_generator())
    spread = [
        model([latents, column(value)]).numpy().std(axis=0).mean() for value in (1.0, 0.5, 0.1)
    ]
    assert spread[0] > spread[1] > spread[2]


def test_each_latent_may_have_its_own_truncation(latents):
    model = tiny_generator()
    truncation = np.array([[1.0], [0.0], [1.0], [0.0], [0.0], [0.5]], np.float32)
    images = with_truncation(model)([latents, truncation]).numpy()
    np.testing.assert_allclose(images[[0, 2]], model(latents[[0, 2]]), atol=1e-6)
    np.testing.assert_allclose(images[1], images[3], atol=1e-6)
