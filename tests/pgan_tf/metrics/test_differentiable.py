import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.metrics import Features, FunctionExtractor, differentiable
from pgan_tf.metrics.inception import InceptionExtractor
from pgan_tf.metrics.inception_file import find_inception
from tests.helpers.small_inception import SIZE, WIDTH, SmallInception
from tfrecords_tools.errors import UserError


def own(function):
    return FunctionExtractor("own:function", "0", function)


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "graph.pb"
    path.write_bytes(SmallInception().serialized())
    return InceptionExtractor(find_inception(path))


@pytest.mark.parametrize("size", [(9, 12), (SIZE, SIZE)])
def test_inceptions_features_of_tensors_are_those_of_arrays(inception, rng, size):
    images = rng.integers(0, 256, [3, *size, 3]).astype(np.uint8)
    of_tensor = differentiable(inception, height=size[0], width=size[1])
    found = tf.function(of_tensor)(tf.cast(images, tf.float32))
    np.testing.assert_array_equal(found, inception(images).features)


def test_inceptions_gradient_is_that_of_differences_of_numpy(inception, rng):
    # The reference computes in float64, so that a difference has digits enough.
    images = rng.uniform(0, 255, [2, 9, 9, 3])
    weights = rng.standard_normal([2, WIDTH])
    direction = rng.standard_normal(images.shape)
    reference = SmallInception()

    def value(step):
        return np.sum(weights * reference.features(images + step * direction))

    variable = tf.Variable(images, dtype=tf.float32)
    with tf.GradientTape() as tape:
        features = differentiable(inception, height=9, width=9)(variable)
        total = tf.reduce_sum(features * weights.astype(np.float32))
    gradient = tape.gradient(total, variable).numpy()
    slope = (value(1e-4) - value(-1e-4)) / 2e-4
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("logits", [False, True])
def test_a_function_that_computes_with_tensorflow_has_gradients(logits):
    def means(images):
        features = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])
        return (features, features) if logits else features

    of_tensor = differentiable(own(means), height=8, width=8)
    images = tf.random.stateless_uniform([2, 8, 8, 3], [0, 1], maxval=255.0)
    np.testing.assert_allclose(of_tensor(images), tf.reduce_mean(images, [1, 2]), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: np.asarray(images).mean((1, 2)), "Received: NotImplementedError: Cannot"),
        (lambda images: images.numpy(), "Received: AttributeError: .*numpy"),
        (lambda images: tf.cast(tf.cast(images, tf.uint8), tf.float32)[:, 0, 0], "no differentiab"),
        (lambda images: tf.ones([2, 3]), "no differentiable way"),
        (lambda images: images, r"must be \[b d\]"),
    ],
)
def test_a_function_without_gradients_is_refused_in_one_line(function, message):
    with pytest.raises(UserError, match=message) as caught:
        differentiable(own(function), height=8, width=8)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("features own:function: gradients are needed")


def test_an_extractor_of_arrays_alone_is_refused():
    class Extractor:
        name, digest = "arrays", "0"

        def __call__(self, images):
            return Features(np.ones([len(images), 1], np.float32))

    with pytest.raises(UserError, match="features arrays: .* takes arrays only"):
        differentiable(Extractor(), height=8, width=8)
