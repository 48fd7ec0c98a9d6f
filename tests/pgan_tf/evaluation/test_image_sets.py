"""A set of images as fakes: what is read, in which order, and with which labels."""

import numpy as np
import pytest

from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import Reals, StoredFakes, as_rgb
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.format import open_pyramid


@pytest.fixture(scope="module")
def gray(tmp_path_factory):
    labels = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    directory = tmp_path_factory.mktemp("gray")
    written = write_pyramid(directory / "data", resolution=8, channels=1, count=24, labels=labels)
    return PyramidImages(open_pyramid(written), 8)


def test_a_set_as_fakes_is_read_in_the_order_of_reals(gray):
    fakes, reals = StoredFakes(gray, seed=3), Reals(gray, seed=3, mirror=False)
    (read,), (expected,) = fakes.read(20), reals.read(0, 20)
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(fakes.at(np.array([7, 2])), expected[[7, 2]])
    record = int(fakes.name(7).removeprefix("#"))
    np.testing.assert_array_equal(gray.read(np.array([record]))[0], expected[7])


def test_grays_become_rgb_on_either_side(gray):
    fakes, reals = (
        StoredFakes(gray, seed=0, as_rgb=True),
        Reals(gray, seed=0, mirror=False, as_rgb=True),
    )
    (plain,) = Reals(gray, seed=0, mirror=False).read(0, 24)
    for (read,) in (fakes.read(24), reals.read(0, 24)):
        np.testing.assert_array_equal(read, plain.repeat(3, axis=3))
    assert reals.channels == 3 and reals.traits == {"gray": "as RGB"}


def test_alpha_stays_where_grays_become_rgb():
    images = np.random.default_rng(0).integers(0, 256, [2, 3, 3, 2], np.uint8)
    gray, alpha = images[..., :1], images[..., 1:]
    expected = np.concatenate([gray, gray, gray, alpha], axis=3)
    np.testing.assert_array_equal(as_rgb(images), expected)
    np.testing.assert_array_equal(as_rgb(expected), expected)


def test_labels_are_those_of_the_images(gray):
    reals = Reals(gray, seed=5, mirror=False)
    records = [int(np.flatnonzero((gray.read(np.arange(24)) == image).all((1, 2, 3)))[0])
               for image in np.concatenate(list(reals.read(4, 9)))]  # fmt: skip
    np.testing.assert_array_equal(reals.labels_of(4, 9).argmax(1), np.array(records) % 3)
    fakes = StoredFakes(gray, seed=5, labelled=True)
    np.testing.assert_array_equal(fakes.labels_of(4, 9), reals.labels_of(4, 9))
    assert StoredFakes(gray, seed=5).labels_of(0, 3) is None
