"""All operations: nothing happens at strength 0, and gradients are exact, compiled or not."""

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.augmentation.color import RECOLOR
from pgan_tf.augmentation.diffaugment import COLOR
from pgan_tf.augmentation.geometry import TRANSFORM, TRANSFORM_ON_CPUS
from pgan_tf.augmentation.pipeline import PIPE, POLICY, Pipeline, make_pipeline
from pgan_tf.config import AugmentConfig

OPERATIONS = {**PIPE, **POLICY}
# The last can't be compiled.
NAMES_AND_COMPILATION = [
    pytest.param(operation, compiled, id=f"{name}-{'compiled' if compiled else 'plain'}")
    for compiled in (False, True)
    for name, operation in OPERATIONS.items()
] + [pytest.param(TRANSFORM_ON_CPUS, False, id="g on CPUs-plain")]
COMPILED = pytest.mark.parametrize(("operation", "jit_compile"), NAMES_AND_COMPILATION)


def drawn(rng, operation, shape):
    """Images, and noise for them."""
    batch, *size = shape
    images = tf.constant(rng.uniform(-1, 1, shape), tf.float32)
    noise = tf.constant(rng.uniform(size=[batch, operation.noise_size(*size)]), tf.float32)
    return images, noise


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PIPE)
def test_nothing_changes_at_strength_0(rng, name, channels):
    images, noise = drawn(rng, PIPE[name], [4, 32, 32, channels])
    np.testing.assert_array_equal(PIPE[name].apply(images, noise, tf.constant(0.0)), images)


@pytest.mark.parametrize("operation", [RECOLOR, COLOR], ids=["c", "color"])
@pytest.mark.parametrize("channels", [2, 4])
def test_colors_change_as_without_alpha_which_stays(rng, operation, channels):
    images, noise = drawn(rng, operation, [4, 8, 12, channels])
    changed = operation.apply(images, noise, tf.constant(1.0))
    np.testing.assert_array_equal(changed[..., -1], images[..., -1])
    expected = operation.apply(images[..., :-1], noise, tf.constant(1.0))
    np.testing.assert_array_equal(changed[..., :-1], expected)


@pytest.mark.parametrize("name", OPERATIONS)
def test_images_change_at_strength_1_each_by_its_own_noise(rng, name):
    images, noise = drawn(rng, OPERATIONS[name], [6, 32, 32, 3])
    augmented = OPERATIONS[name].apply(images, noise, tf.constant(1.0)).numpy()
    changed = [not np.array_equal(x, y) for x, y in zip(images, augmented, strict=True)]
    assert sum(changed) >= 5
    last = OPERATIONS[name].apply(images[-1:], noise[-1:], tf.constant(1.0))
    np.testing.assert_allclose(augmented[-1:], last, atol=1e-5)


@COMPILED
def test_gradients_are_those_of_differences(rng, operation, jit_compile):
    size = max(operation.least_resolution, 8)
    images, noise = drawn(rng, operation, [2, size, size, 3])
    direction, weights = (tf.constant(rng.normal(size=images.shape), tf.float32) for _ in range(2))

    @tf.function(jit_compile=jit_compile)
    def compare():
        # All operations are affine in the images: differences of any length are exact.
        with tf.GradientTape() as tape:
            tape.watch(images)
            result = operation.apply(images, noise, tf.constant(0.7))
        gradient = tape.gradient(result, images, output_gradients=weights)
        moved = operation.apply(images + direction, noise, tf.constant(0.7))
        return tf.reduce_sum(gradient * direction), tf.reduce_sum((moved - result) * weights)

    by_gradient, by_difference = compare()
    assert float(by_gradient) == pytest.approx(float(by_difference), rel=1e-3, abs=2e-2)


@COMPILED
def test_the_gradient_of_a_gradient_penalty_is_that_of_differences(rng, operation, jit_compile):
    """Of |d sum(w T(x)^2) / dx|^2, differentiated by w."""
    size = max(operation.least_resolution, 8)
    images, noise = drawn(rng, operation, [2, size, size, 1])
    weights = tf.constant(rng.normal(size=images.shape), tf.float32)
    direction = tf.constant(rng.normal(size=images.shape), tf.float32)

    @tf.function(jit_compile=jit_compile)
    def penalty(w):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(w * operation.apply(images, noise, tf.constant(0.7)) ** 2)
        return tf.reduce_sum(tape.gradient(score, images) ** 2)

    @tf.function(jit_compile=jit_compile)
    def slope():
        with tf.GradientTape() as tape:
            tape.watch(weights)
            result = penalty(weights)
        return tf.reduce_sum(tape.gradient(result, weights) * direction)

    # The penalty is quadratic in w, for which central differences are exact.
    difference = (penalty(weights + direction) - penalty(weights - direction)) / 2
    assert float(slope()) == pytest.approx(float(difference), rel=2e-3, abs=5e-2)


@pytest.mark.parametrize("name", OPERATIONS)
def test_compiled_operations_compute_the_same(rng, name):
    images, noise = drawn(rng, OPERATIONS[name], [4, 32, 32, 3])
    not_compiled = TRANSFORM_ON_CPUS if name == "g" else OPERATIONS[name]
    plain, compiled = (
        tf.function(operation.apply, jit_compile=jit)(images, noise, tf.constant(0.8))
        for operation, jit in ((not_compiled, False), (OPERATIONS[name], True))
    )
    np.testing.assert_allclose(plain, compiled, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 1.5, 4), (1.25, 1, 2)])
@pytest.mark.parametrize("resolution", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("augment", ["fixed", "diffaugment"])
def test_every_stage_keeps_the_shape_of_its_images(rng, augment, resolution, shape):
    height, width, channels = int(shape[0] * resolution), int(shape[1] * resolution), shape[2]
    pipe = "bgcfno" if augment == "fixed" else "bgc"
    config = AugmentConfig(augment=augment, augment_pipe=pipe)
    pipeline = make_pipeline(
        config, resolution=resolution, image_shape=(height, width, channels), is_compiled=False
    )
    images = tf.constant(rng.uniform(-1, 1, [2, height, width, channels]), tf.float32)
    noise = tf.constant(rng.uniform(size=[2, pipeline.noise_size]), tf.float32)
    augmented = pipeline(images, noise, tf.constant(1.0))
    assert augmented.shape == images.shape
    assert augmented.dtype == tf.float32
    assert np.isfinite(augmented).all()


def test_operations_of_sizes_without_sense_are_left_out():
    def pipeline(letters, resolution):
        config = AugmentConfig(augment="fixed", augment_pipe=letters)
        shape = (resolution, resolution, 3)
        return make_pipeline(config, resolution=resolution, image_shape=shape, is_compiled=True)

    assert pipeline("g", 4) is None
    assert pipeline("g", 8).noise_size == 11
    assert pipeline("f", 16) is None
    assert pipeline("bgf", 4).noise_size == pipeline("b", 4).noise_size
    policy = AugmentConfig(augment="diffaugment", augment_policy="translation")
    for config in (policy, AugmentConfig()):
        assert make_pipeline(config, resolution=4, image_shape=(4, 4, 3), is_compiled=True) is None


@pytest.mark.parametrize(
    ("is_compiled", "gpus", "by_matrix"),
    [(False, [], True), (True, [], False), (False, ["G"], False)],
)
def test_geometry_is_a_sparse_product_where_that_is_fast(
    rng, monkeypatch, is_compiled, gpus, by_matrix
):
    images, noise = drawn(rng, TRANSFORM, [2, 8, 8, 3])
    config = AugmentConfig(augment="fixed", augment_pipe="g")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    pipeline = make_pipeline(config, resolution=8, image_shape=(8, 8, 3), is_compiled=is_compiled)
    graph = tf.function(pipeline, autograph=False).get_concrete_function(
        images, noise, tf.constant(0.8)
    )
    types = {operation.type for operation in graph.graph.get_operations()}
    assert ("SparseTensorDenseMatMul" in types) == by_matrix
    assert ("GatherV2" in types) == (not by_matrix)


def test_operations_are_applied_in_order_each_with_its_own_noise(rng):
    images, _ = drawn(rng, PIPE["b"], [3, 16, 16, 3])
    pipeline = Pipeline([PIPE["b"], PIPE["o"]], height=16, width=16, channels=3)
    noise = tf.constant(rng.uniform(size=[3, pipeline.noise_size]), tf.float32)
    one = tf.constant(1.0)
    expected = PIPE["o"].apply(PIPE["b"].apply(images, noise[:, :7], one), noise[:, 7:], one)
    np.testing.assert_array_equal(pipeline(images, noise, one), expected)
