import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.metrics import FunctionExtractor
from pgan_tf.projecting.distance import Distance, clipped
from tfrecords_tools.errors import UserError


def halved(images):
    count, height, width, channels = images.shape
    return images.reshape(count, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def square(a, b):
    return np.mean((a - b) ** 2, axis=(1, 2, 3))


@pytest.fixture
def images(rng):
    return rng.uniform(-1, 1, [3, 16, 24, 3]).astype(np.float32)


@pytest.fixture
def picture(rng):
    return rng.uniform(-1, 1, [16, 24, 3]).astype(np.float32)


def test_pixels_are_compared_on_every_scale(images, picture):
    distance = Distance(16, 24, 3, pixel_weight=2.0)
    found = distance(images, distance.target(picture))
    scales = [(images, picture[np.newaxis])]
    for _ in range(2):  # 8x12 and 4x6
        scales.append(tuple(map(halved, scales[-1])))
    pixels, *coarser = (square(a, b) for a, b in scales)
    np.testing.assert_allclose(found.pixels, pixels, rtol=1e-5)
    np.testing.assert_allclose(found.coarse, 2.0 * np.mean(coarser, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.total, 2.0 * pixels, rtol=1e-5)
    np.testing.assert_array_equal(found.features, 0.0)
    assert not distance.has_features


@pytest.mark.parametrize("channels", [2, 4])
def test_colors_count_as_far_as_they_are_seen(rng, channels):
    images = rng.uniform(-1, 1, [2, 8, 8, channels]).astype(np.float32)
    picture = rng.uniform(-1, 1, [8, 8, channels]).astype(np.float32)
    images[:, :4, :, -1] = picture[:4, :, -1] = -1.0  # transparent
    distance = Distance(8, 8, channels)
    before = distance(images, distance.target(picture)).pixels.numpy()

    def seen(x):
        color = (x[..., :-1] + 1) * (x[..., -1:] + 1) / 2 - 1
        return np.concatenate([color, x[..., -1:]], axis=-1)

    np.testing.assert_allclose(before, square(seen(images), seen(picture)), rtol=1e-5)
    images[:, :4, :, :-1] = 0.9
    np.testing.assert_allclose(distance(images, distance.target(picture)).pixels, before)
    images[:, 4:, :, :-1] = 0.9
    assert np.abs(distance(images, distance.target(picture)).pixels - before).min() > 0.01


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_features_are_of_three_channels_with_alpha_on_white(rng, channels):
    images = rng.uniform(-1.3, 1.3, [2, 8, 8, channels]).astype(np.float32)
    picture = rng.uniform(-1, 1, [8, 8, channels]).astype(np.float32)
    matrix = rng.standard_normal([8 * 8 * 3, 5]).astype(np.float32)
    extractor = FunctionExtractor(
        "own", "0", lambda x: tf.reshape(x, [-1, 8 * 8 * 3]) @ matrix / 255.0
    )

    def features(x):
        x = (np.clip(x.astype(np.float64), -1, 1) + 1) / 2
        if channels % 2 == 0:
            x = x[..., :-1] * x[..., -1:] + 1 - x[..., -1:]
        return np.broadcast_to(x, [*x.shape[:3], 3]).reshape(len(x), -1) @ matrix

    a, b = features(images), features(picture[np.newaxis])
    expected = np.sum((a - b) ** 2, axis=1) / np.sum(b**2)
    distance = Distance(8, 8, channels, extractor=extractor, pixel_weight=0.5, feature_weight=3.0)
    found = distance(images, distance.target(picture))
    assert distance.has_features
    np.testing.assert_allclose(found.features, expected, rtol=1e-4)
    np.testing.assert_allclose(found.total, 0.5 * found.pixels + 3.0 * expected, rtol=1e-4)


def test_an_extractor_of_arrays_is_refused():
    extractor = FunctionExtractor("own", "0", lambda x: np.asarray(x).mean((1, 2)))
    with pytest.raises(UserError, match="features own: gradients are needed"):
        Distance(8, 8, 3, extractor=extractor)
    assert not Distance(8, 8, 3, extractor=extractor, feature_weight=0.0).has_features


def test_beyond_white_an_image_is_white_and_its_gradient_leads_back():
    images = tf.constant([-1.5, -1.5, 0.5, 1.5, 1.5])
    with tf.GradientTape() as tape:
        tape.watch(images)
        seen = clipped(images)
        value = tf.reduce_sum(seen * [1.0, -1.0, 3.0, 1.0, -1.0])
    np.testing.assert_array_equal(seen, [-1, -1, 0.5, 1, 1])
    # To descend is to subtract the gradient: -1.5 may grow, 1.5 may shrink.
    np.testing.assert_array_equal(tape.gradient(value, images), [0, -1, 3, 1, 0])
