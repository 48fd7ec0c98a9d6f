import keras
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pgan_tf.exporting.plain_keras import as_plain_keras
from pgan_tf.generating.directions import direction_effects, find_directions, move_latents
from tests.helpers.generators import LATENT_SIZE, tiny_generator
from tfrecords_tools.errors import UserError


def singular_vectors(kernel):
    """Left singular vectors of the latents' rows, by decreasing singular value, as rows."""
    left, values, _ = np.linalg.svd(kernel[:LATENT_SIZE], full_matrices=False)
    return left.T, values


@pytest.mark.parametrize("label_size", [0, 3])
@pytest.mark.parametrize("equalized", [True, False])
def test_directions_are_the_singular_vectors_of_the_latents_weights(label_size, equalized):
    options = [("equalized_learning_rate", equalized)]
    model = tiny_generator(label_size=label_size, options=options)
    kernel = model.get_layer("4x4_dense").kernel.numpy()
    assert len(kernel) == LATENT_SIZE + label_size
    expected, values = singular_vectors(kernel)
    directions = find_directions(model, LATENT_SIZE)
    assert directions.dtype == np.float32
    np.testing.assert_allclose(np.abs(np.sum(directions * expected, axis=1)), 1.0, atol=1e-5)
    np.testing.assert_allclose(directions @ directions.T, np.eye(LATENT_SIZE), atol=1e-5)
    effects = direction_effects(model, directions)
    np.testing.assert_allclose(effects, values / np.sqrt(np.mean(values**2)), rtol=1e-5)


def test_labels_with_large_weights_make_no_difference():
    model = tiny_generator(label_size=3)
    before = find_directions(model, 4)
    kernel = model.get_layer("4x4_dense").kernel
    scaled = kernel.numpy()
    scaled[LATENT_SIZE:] *= 100
    kernel.assign(scaled)
    np.testing.assert_array_equal(find_directions(model, 4), before)


def test_the_largest_component_is_positive_and_fewer_directions_are_the_first():
    model = tiny_generator()
    directions = find_directions(model, LATENT_SIZE)
    assert (directions.max(axis=1) == np.abs(directions).max(axis=1)).all()
    np.testing.assert_array_equal(find_directions(model, 2), directions[:2])


def test_the_first_direction_changes_features_and_images_more_than_random_ones(rng):
    model = tiny_generator()
    outputs = [model.get_layer("4x4_dense").output, model.outputs[0]]
    both = keras.Model(model.inputs[0], outputs)
    latents = rng.standard_normal([64, LATENT_SIZE]).astype(np.float32)

    def change(direction):
        there, back = (
            both(move_latents(latents, direction)),
            both(move_latents(latents, -direction)),
        )
        return [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(there, back, strict=True)]

    random = rng.standard_normal([20, LATENT_SIZE])
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    first, *_, last = find_directions(model, LATENT_SIZE)
    changes = np.array([change(direction) for direction in random])
    assert change(first)[0] > changes[:, 0].max()
    assert change(last)[0] < changes[:, 0].min()
    assert change(first)[1] > np.median(changes[:, 1])


def test_an_export_of_plain_keras_has_the_same_directions():
    model = tiny_generator(label_size=2)
    plain = as_plain_keras(model)
    np.testing.assert_allclose(find_directions(plain, 3), find_directions(model, 3), atol=1e-5)


@pytest.mark.parametrize("count", [0, -1, LATENT_SIZE + 1])
def test_more_directions_than_latents_have_components_are_refused(count):
    with pytest.raises(UserError, match=rf"from 1 to 8, .* Received: {count}"):
        find_directions(tiny_generator(), count)


def test_a_model_without_the_first_layer_is_refused():
    latents = keras.Input([LATENT_SIZE], name="latents")
    model = keras.Model(latents, keras.layers.Dense(3)(latents), name="other")
    with pytest.raises(UserError, match="layer 4x4_dense.*named other, without it"):
        find_directions(model, 1)
    model = keras.Model(latents, keras.layers.Identity(name="4x4_dense")(latents))
    with pytest.raises(UserError, match="whose layer is a Identity"):
        find_directions(model, 1)


def test_a_move_is_a_rotation_towards_the_direction():
    # Against SciPy's rotations: z orthogonal to the step turns by the angle atan(step / radius).
    latents = np.array([[0.0, 2.0, 0.0]])
    step = np.array([0.5, 0.0, 0.0])
    angle = np.arctan(0.5 / np.sqrt(3))
    turned = Rotation.from_rotvec([0, 0, -angle]).apply([[0, np.sqrt(3), 0]])
    moved = move_latents(latents, step)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, turned, atol=1e-6)


def test_a_unit_of_a_move_is_the_standard_deviation_of_latents_along_a_direction(rng):
    latents = move_latents(rng.standard_normal([20000, 16]), np.zeros(16))
    direction = np.full(16, 0.25)
    assert (latents @ direction).std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(np.linalg.norm(latents, axis=1), 4.0, rtol=1e-6)
    far = move_latents(latents, 1e6 * direction)
    np.testing.assert_allclose(far, np.tile(4 * direction, [20000, 1]), atol=1e-4)


def test_a_move_by_nothing_leaves_the_image_and_zeros_are_no_failure(rng):
    model = tiny_generator()
    latents = rng.standard_normal([4, LATENT_SIZE]).astype(np.float32)
    moved = move_latents(latents, np.zeros(LATENT_SIZE))
    np.testing.assert_allclose(model(moved), model(latents), atol=1e-5)
    assert not move_latents(np.zeros([1, 4]), np.zeros(4)).any()
