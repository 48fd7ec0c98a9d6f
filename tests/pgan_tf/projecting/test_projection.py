import keras
import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.generating.directions import on_sphere
from pgan_tf.metrics import FunctionExtractor
from pgan_tf.projecting.distance import Distance
from pgan_tf.projecting.projection import Projector
from pgan_tf.projecting.targets import as_floats
from pgan_tf.runs.grids import draw_latents, to_uint8
from tests.helpers.generators import LATENT_SIZE, tiny_generator


@pytest.fixture(scope="module")
def model():
    return tiny_generator()


@pytest.fixture(scope="module")
def conditional():
    return tiny_generator(label_size=3)


@pytest.fixture(scope="module")
def projector(model):
    return Projector(model, Distance(8, 8, 3), steps=150, starts=4)


@pytest.fixture(scope="module")
def hidden():
    """Latents that no start has."""
    return on_sphere(draw_latents(1, LATENT_SIZE, seed=99)).astype(np.float32)


@pytest.fixture(scope="module")
def own(model, hidden):
    """A picture that the network drew, as a file has it."""
    return as_floats(to_uint8(model(hidden))[0])


@pytest.fixture(scope="module")
def found(projector, own):
    return projector.project(own)


def test_a_picture_of_the_network_itself_is_found_again(model, found, own, hidden):
    starts = on_sphere(draw_latents(4, LATENT_SIZE, seed=0)).astype(np.float32)
    cosines = starts @ hidden[0] / LATENT_SIZE
    assert found.latents @ hidden[0] / LATENT_SIZE > 0.95 > 0.8 > np.abs(cosines).max()
    errors = np.sqrt(np.mean((np.clip(model(starts), -1, 1) - own) ** 2, axis=(1, 2, 3)))
    error = np.sqrt(np.mean((np.clip(model(found.latents[np.newaxis]), -1, 1) - own) ** 2))
    assert error < errors.min() / 10
    assert found.pixel_distance == pytest.approx(error**2, rel=1e-3)
    assert found.distance == found.pixel_distance == pytest.approx(found.start_distances[0])
    assert (found.label, found.label_row, found.feature_distance) == (None, None, None)


def test_the_way_begins_at_a_start_and_stays_on_the_sphere(found):
    starts = on_sphere(draw_latents(4, LATENT_SIZE, seed=0)).astype(np.float32)
    assert (np.abs(starts - found.path[0]).max(axis=1) < 1e-6).any()
    np.testing.assert_array_equal(found.path[-1], found.latents)
    np.testing.assert_allclose(np.linalg.norm(found.path, axis=1), LATENT_SIZE**0.5, rtol=1e-5)
    assert found.path_steps[0] == 0 and found.path_steps[-1] == 150
    assert len(found.path) == len(found.path_steps) <= 101
    assert found.start_distances.shape == (4,)


def test_the_same_seed_finds_the_same(projector, found, own):
    np.testing.assert_array_equal(projector.project(own).latents, found.latents)


def test_batches_find_what_one_batch_finds(model, own):
    # Few steps: rounding in batches of other sizes grows from step to step.
    one, several = (
        Projector(model, Distance(8, 8, 3), steps=12, starts=5, batch_size=size).project(own)
        for size in (5, 2)
    )
    np.testing.assert_allclose(several.start_distances, one.start_distances, rtol=1e-3)
    np.testing.assert_allclose(several.latents, one.latents, atol=1e-2)


def reference(kernel, target, latents, steps, rate):
    """Adam on the sphere for images that are a product with a matrix, in float64."""
    radius = np.sqrt(len(latents))
    z, mean, variance, best, least = latents.astype(np.float64), 0.0, 0.0, None, np.inf
    path = []

    def tangent(x):
        return x - z * (x @ z) / (z @ z)

    for step in range(steps):
        path.append(z)
        residual = z @ kernel - target
        if np.mean(residual**2) < least:
            least, best = np.mean(residual**2), z
        gradient = tangent(2 * residual @ kernel.T / target.size)
        mean = 0.9 * mean + 0.1 * gradient
        variance = 0.999 * variance + 0.001 * gradient**2
        update = mean / (1 - 0.9 ** (step + 1))
        update = tangent(update / np.sqrt(variance / (1 - 0.999 ** (step + 1))))
        rise = min(1, (step + 1) / (0.05 * steps))
        fall = 0.5 - 0.5 * np.cos(np.pi * min(1, (1 - step / steps) / 0.25))
        z = z - rate * rise * fall * update
        z = radius * z / np.linalg.norm(z)
    residual = z @ kernel - target
    return np.array([*path, z if np.mean(residual**2) < least else best])


def test_steps_are_those_of_numpy(rng):
    kernel = 0.1 * rng.standard_normal([6, 16])
    inputs = keras.Input([6], name="latents")
    product = keras.layers.Dense(16, use_bias=False, name="product")
    images = keras.layers.Reshape([4, 4, 1])(product(inputs))
    model = keras.Model(inputs, images)
    product.set_weights([kernel])
    target = 0.1 * rng.standard_normal(16)
    projector = Projector(
        model, Distance(4, 4, 1), steps=40, starts=1, learning_rate=0.1, seed=5, batch_size=1
    )
    found = projector.project(target.reshape(4, 4, 1).astype(np.float32))
    start = on_sphere(draw_latents(1, 6, seed=5))[0]
    np.testing.assert_allclose(found.path, reference(kernel, target, start, 40, 0.1), atol=1e-3)


def test_of_all_classes_the_right_one_is_kept(conditional, hidden):
    labels = np.eye(3, dtype=np.float32)
    own = as_floats(to_uint8(conditional([hidden, labels[[1]]]))[0])
    projector = Projector(conditional, Distance(8, 8, 3), steps=150, starts=3)
    done = []
    found = projector.project(own, labels, progress=done.append)
    assert found.label_row == 1
    np.testing.assert_array_equal(found.label, labels[1])
    assert sum(done) == projector.work(3) == 150
    image = conditional([found.latents[np.newaxis], labels[[1]]])[0]
    assert np.sqrt(np.mean((np.clip(image, -1, 1) - own) ** 2)) < 0.05
    other = projector.project(own, labels[[0]])
    assert other.label_row == 0 and other.distance > 3 * found.distance


@pytest.mark.parametrize(("steps", "starts", "batch_size"), [(1, 1, 1), (3, 2, 4), (230, 2, 1)])
def test_any_number_of_steps_is_reported(conditional, steps, starts, batch_size):
    projector = Projector(
        conditional, Distance(8, 8, 3), steps=steps, starts=starts, batch_size=batch_size
    )
    done = []
    image = np.zeros([8, 8, 3], np.float32)
    found = projector.project(image, np.eye(3, dtype=np.float32)[:2], progress=done.append)
    assert sum(done) == projector.work(2)
    assert np.isfinite(found.distance)
    assert len(found.path) == len(found.path_steps) <= 101


def test_features_lead_to_the_picture_too(model, own, hidden):
    extractor = FunctionExtractor(
        "own", "0", lambda x: tf.reshape(tf.nn.avg_pool2d(x / 255.0, 2, 2, "VALID"), [-1, 48])
    )
    distance = Distance(8, 8, 3, pixel_weight=0.0, extractor=extractor)
    found = Projector(model, distance, steps=150, starts=4).project(own)
    assert found.feature_distance == pytest.approx(found.distance)
    assert found.feature_distance < 1e-3
    assert found.latents @ hidden[0] / LATENT_SIZE > 0.9
