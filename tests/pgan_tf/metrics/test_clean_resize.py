import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pgan_tf.metrics import load_inception
from pgan_tf.metrics.clean_resize import resize_clean, resize_matrix, resize_tensor
from tests.helpers.small_inception import SIZE, SmallInception
from tfrecords_tools.errors import UserError

SMALL = SmallInception()


def kernel(x):
    """Keys 1981, equation 15."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def by_loops(images, size):
    """Resized `[b h w c]` images, pixel by pixel of the result."""
    for axis in (1, 2):
        length = images.shape[axis]
        scale = length / size
        wide = max(scale, 1)
        lines = []
        for target in range(size):
            center = (target + 0.5) * scale
            weights = np.array([kernel((i + 0.5 - center) / wide) for i in range(length)])
            lines.append(np.tensordot(images, weights / weights.sum(), (axis, 0)))
        images = np.stack(lines, axis)
    return np.clip(images, 0, 255)


@pytest.fixture
def images(rng, request):
    return rng.integers(0, 256, [2, *request.param, 3]).astype(np.uint8)


SIZES = pytest.mark.parametrize("images", [(8, 8), (17, 17), (32, 32), (90, 37)], indirect=True)


@SIZES
def test_pixels_are_those_of_plain_loops_and_of_matrices(images):
    found = resize_clean(images, SIZE)
    assert found.dtype == np.float32 and found.shape == (2, SIZE, SIZE, 3)
    np.testing.assert_allclose(found, by_loops(images.astype(float), SIZE), atol=1e-3)
    tensor = resize_tensor(tf.constant(images, tf.float32), SIZE)
    np.testing.assert_allclose(tensor, found, atol=1e-3)


@SIZES
def test_features_are_those_of_images_that_pillow_has_resized(images, tmp_path):
    path = tmp_path / "small.pb"
    path.write_bytes(SMALL.serialized())
    resized = [
        np.stack(
            [
                np.asarray(
                    Image.fromarray(image[..., c].astype(np.float32)).resize(
                        (SIZE, SIZE), Image.BICUBIC
                    )
                ).clip(0, 255)
                for c in range(3)
            ],
            axis=2,
        )
        for image in images
    ]
    clean = load_inception(path, resize="clean")
    features, logits = clean(images)
    # The graph's own resizing of images of its size changes nothing.
    np.testing.assert_allclose(features, SMALL.features(np.stack(resized)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits, SMALL.logits(np.stack(resized)), rtol=1e-4, atol=1e-3)
    tensor = clean.of_tensor(tf.constant(images, tf.float32))
    np.testing.assert_allclose(tensor, features, rtol=1e-3, atol=1e-3)


def test_the_ways_of_resizing_are_told_apart(tmp_path, rng):
    path = tmp_path / "small.pb"
    path.write_bytes(SMALL.serialized())
    legacy, clean = load_inception(path), load_inception(path, resize="clean")
    # As before there was a choice, so that caches and results of then are found.
    assert clean.digest == f"{legacy.digest} clean"
    assert clean.name == "small.pb, clean resize"
    images = rng.integers(0, 256, [2, 64, 64, 3]).astype(np.uint8)
    difference = np.abs(clean(images).features - legacy(images).features)
    assert difference.max() > 0.1


def test_weights_of_a_pixel_have_sum_one():
    for source, target in ((1, 5), (7, 7), (1024, 299)):
        np.testing.assert_allclose(resize_matrix(source, target).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(resize_matrix(7, 7), np.eye(7), atol=1e-6)


def test_a_graph_that_does_not_resize_cannot_be_resized_for(tmp_path):
    graph = SMALL.graph_def()
    for node in graph.node:
        if node.name == "ResizeBilinear":
            node.name = "Resize"
        node.input[:] = ["Resize" if name == "ResizeBilinear" else name for name in node.input]
    path = tmp_path / "other.pb"
    path.write_bytes(graph.SerializeToString())
    load_inception(path)
    with pytest.raises(UserError, match="ResizeBilinear does not say the size of images"):
        load_inception(path, resize="clean")
