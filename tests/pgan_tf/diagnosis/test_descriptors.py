"""Distances of images without a network."""

import numpy as np
import pytest

from pgan_tf.diagnosis.descriptors import distances, patch_distance, thumbnails


def test_thumbnails_are_means_of_at_most_16x16(rng):
    images = rng.normal(size=(3, 32, 32, 2)).astype(np.float32)
    found = thumbnails(images).reshape(3, 16, 16, 2)
    np.testing.assert_allclose(found[1, 2, 3], images[1, 4:6, 6:8].mean((0, 1)), rtol=1e-5)
    small = images[:, :8, :8]
    np.testing.assert_array_equal(thumbnails(small).reshape(small.shape), small)


def test_thumbnails_of_rectangles_keep_their_shape_and_channels(rng):
    images = rng.normal(size=(3, 64, 96, 4)).astype(np.float32)
    found = thumbnails(images).reshape(3, 16, 24, 4)
    np.testing.assert_allclose(found[1, 2, 20], images[1, 8:12, 80:84].mean((0, 1)), rtol=1e-4)
    odd = images[:, :60, :68]
    assert thumbnails(odd).shape == (3, 30 * 34 * 4)
    assert np.isfinite(patch_distance(images, images[::-1], seed=0))


def test_distances_are_those_of_each_pair(rng):
    rows = rng.normal(size=(4, 10))
    found = distances(rows)
    assert found.shape == (4, 4)
    assert np.diagonal(found).tolist() == [0, 0, 0, 0]
    assert found[1, 3] == pytest.approx(np.sqrt(((rows[1] - rows[3]) ** 2).mean()))


def test_the_distance_of_patches_grows_with_the_difference(rng):
    reals, others = rng.normal(size=(2, 32, 8, 8, 3)).astype(np.float32)
    same = patch_distance(reals, others, seed=0)
    assert patch_distance(reals, others + 1, seed=0) > patch_distance(reals, others + 0.5, seed=0)
    assert same < 0.1 < patch_distance(reals, others + 0.5, seed=0)
    assert patch_distance(10 * reals, 10 * others, seed=0) == pytest.approx(same, rel=1e-3)


def test_images_of_one_color_have_a_distance(rng):
    black = np.zeros((8, 4, 4, 1), np.float32)
    assert patch_distance(black, black, seed=0) == 0
    assert np.isfinite(patch_distance(black, black + 1, seed=0))
