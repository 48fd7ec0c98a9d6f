"""Nearest neighbors against brute force, and what distances say of copies."""

import numpy as np
import pytest

from pgan_tf.metrics import Neighbors, NeighborSearch, memorization, nearer_of, outlines
from tfrecords_tools.errors import UserError


def brute_force(queries, others, k, own=None):
    distances = np.linalg.norm(queries[:, None].astype(float) - others[None], axis=2)
    if own is not None:
        distances[np.arange(len(queries)), own] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


def search(queries, others, k, *, block, own=None):
    found = NeighborSearch(queries, k)
    for start in range(0, len(others), block):
        found.add(others[start : start + block])
    return found.nearest(lambda numbers: others[numbers], own)


@pytest.mark.parametrize("block", [1, 7, 100])
@pytest.mark.parametrize("k", [1, 3])
def test_neighbors_are_those_of_brute_force_whatever_the_blocks(rng, block, k):
    queries, others = (rng.normal(size=(n, 6)).astype(np.float32) for n in (30, 100))
    indices, distances = search(queries, others, k, block=block)
    expected = brute_force(queries, others, k)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-6)


def test_queries_are_compared_in_several_groups(rng, monkeypatch):
    monkeypatch.setattr("pgan_tf.metrics.neighbors._QUERIES", 4)
    monkeypatch.setattr("pgan_tf.metrics.neighbors._GATHERED", 1)
    queries, others = (rng.normal(size=(n, 6)).astype(np.float32) for n in (10, 50))
    np.testing.assert_array_equal(
        search(queries, others, 3, block=20).indices, brute_force(queries, others, 3)[0]
    )


def test_copies_are_at_distance_0_even_of_large_values(rng):
    others = (1000 + rng.integers(0, 256, [50, 3072])).astype(np.float32)
    indices, distances = search(others[::5], others, 1, block=16)
    np.testing.assert_array_equal(indices[:, 0], np.arange(0, 50, 5))
    np.testing.assert_array_equal(distances, 0)


def test_an_image_is_not_its_own_neighbor_but_an_equal_one_is(rng):
    others = rng.normal(size=(20, 4)).astype(np.float32)
    others[7] = others[3]
    own = np.arange(20)
    found = search(others, others, 2, block=6, own=own)
    expected = brute_force(others, others, 2, own)
    np.testing.assert_array_equal(found.indices, expected[0])
    assert (found.indices[3, 0], found.indices[7, 0]) == (7, 3)
    assert found.distances[3, 0] == 0


def test_fewer_others_than_neighbors_are_all_there_is(rng):
    queries, others = (rng.normal(size=(n, 4)).astype(np.float32) for n in (5, 2))
    assert search(queries, others, 3, block=1).indices.shape == (5, 2)
    own = np.zeros(5, np.int64)
    np.testing.assert_array_equal(search(queries, others, 3, block=1, own=own).indices, 1)


def test_the_nearer_of_two_searches_has_each_image_once():
    a = Neighbors(np.array([[4, 2], [1, 3]]), np.array([[1.0, 3.0], [1.0, 2.0]]))
    b = Neighbors(np.array([[4, 5], [7, 1]]), np.array([[0.5, 2.0], [3.0, 4.0]]))
    nearest, from_b = nearer_of(a, b)
    np.testing.assert_array_equal(nearest.indices, [[4, 5], [1, 3]])
    np.testing.assert_array_equal(nearest.distances, [[0.5, 2], [1, 2]])
    np.testing.assert_array_equal(from_b, [[True, True], [False, False]])


def drawn(rng, side=32, channels=3):
    """A few smooth images with outlines."""
    low = rng.uniform(60, 160, [6, 4, 4, channels])
    return low.repeat(side // 4, axis=1).repeat(side // 4, axis=2).astype(np.uint8)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_outlines_are_unit_vectors_of_every_size(rng, side, channels):
    vectors = outlines(rng.integers(0, 256, [3, side, side, channels], dtype=np.uint8))
    assert vectors.shape == (3, 8 * min(side, 8) ** 2)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)


@pytest.mark.parametrize(
    ("size", "cells"), [((32, 48), (8, 12)), ((28, 20), (14, 10)), ((4, 6), (4, 6))]
)
def test_outlines_of_rectangles_have_whole_square_cells(rng, size, cells):
    images = rng.integers(0, 256, [3, *size, 3], dtype=np.uint8)
    found = outlines(images).reshape(3, *cells, 8)
    turned = outlines(images.transpose(0, 2, 1, 3)).reshape(3, *cells[::-1], 8)
    # Directions from right over down: turning exchanges the axes.
    exchanged = turned.transpose(0, 2, 1, 3)[..., [2, 1, 0, 7, 6, 5, 4, 3]]
    np.testing.assert_allclose(found, exchanged, atol=1e-5)


def test_outlines_ignore_brightness_and_contrast_where_pixels_do_not(rng):
    images = drawn(rng)
    changed = (images * 0.6 + 40).astype(np.uint8)
    near = np.linalg.norm(outlines(images) - outlines(changed), axis=1)
    far = np.linalg.norm(outlines(images) - outlines(images[::-1]), axis=1)
    assert near.max() < 0.25 * far.min()


def test_outlines_of_mirrored_images_have_mirrored_cells_and_directions(rng):
    images = drawn(rng)
    cells = outlines(images).reshape(6, 8, 8, 8)
    mirrored = outlines(images[:, :, ::-1]).reshape(6, 8, 8, 8)
    opposite = [4, 3, 2, 1, 0, 7, 6, 5]  # of 0, 45, ... degrees
    np.testing.assert_allclose(mirrored, cells[:, :, ::-1, opposite], atol=1e-5)


def test_flat_images_have_no_outlines():
    assert not outlines(np.full([2, 16, 16, 3], 9, np.uint8)).any()


def test_copies_are_all_as_near_as_the_nearest_of_the_others(rng):
    others = rng.uniform(5, 10, 200)
    assert memorization(np.zeros(10), others) == {
        "ratio": 0,
        "below_1_percent": 1,
        "below_all": 1,
    }
    # Even where the data hold copies of themselves.
    assert memorization(np.zeros(10), np.append(others, [0, 0, 0]))["below_1_percent"] == 1


def test_images_like_the_others_are_as_far_as_they(rng):
    others, fakes = rng.uniform(5, 10, 1000), rng.uniform(5, 10, 20000)
    values = memorization(fakes, others)
    assert values["ratio"] == pytest.approx(1, abs=0.05)
    low = np.sort(others)[9]
    assert values["below_1_percent"] == np.mean(fakes <= low)
    assert 0 < values["below_1_percent"] < 0.03
    assert values["below_all"] == np.mean(fakes <= others.min())


def test_a_ratio_to_nothing_is_left_out_and_no_distances_are_refused():
    assert set(memorization(np.ones(3), np.zeros(3))) == {"below_1_percent", "below_all"}
    with pytest.raises(UserError, match="at least one fake"):
        memorization(np.ones(3), np.ones(0))
