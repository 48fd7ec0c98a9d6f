import numpy as np
import pytest
import scipy.spatial

from pgan_tf.metrics import manifolds, precision_recall
from tfrecords_tools.errors import UserError

CENTRES = np.array([[0, 0], [100, 0], [0, 100], [100, 100]], float)


def cluster(rng, centre, count=50):
    return centre + rng.uniform(-1, 1, size=[count, 2])


def clusters(rng, centres):
    return np.concatenate([cluster(rng, centre) for centre in centres])


def by_brute_force(reals, fakes, k):
    def within(points, manifold):
        tree = scipy.spatial.cKDTree(manifold)
        radii = tree.query(manifold, k + 1)[0][:, k]
        return np.mean(
            [np.any(np.linalg.norm(manifold - point, axis=1) <= radii) for point in points]
        )

    return within(fakes, reals), within(reals, fakes)


def test_fakes_on_half_of_the_clusters_have_precision_one_and_recall_a_half(rng):
    reals = clusters(rng, CENTRES)
    fakes = np.concatenate([reals[:100], reals[:100] + 1e-9])
    assert precision_recall(reals, fakes) == (1.0, 0.5)


def test_fakes_of_which_half_are_elsewhere_have_precision_a_half_and_recall_one(rng):
    fakes = clusters(rng, CENTRES)
    reals = np.concatenate([fakes[:100], fakes[:100] + 1e-9])
    assert precision_recall(reals, fakes) == (0.5, 1.0)


def test_sets_apart_have_neither(rng):
    a, b = cluster(rng, [0, 0]), cluster(rng, [1000, 0])
    assert precision_recall(a, b) == (0.0, 0.0)


def test_a_set_covers_itself(rng):
    features = rng.normal(size=[80, 6])
    assert precision_recall(features, features) == (1.0, 1.0)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("reals", "fakes"), [(60, 90), (90, 60)])
def test_equal_to_brute_force(rng, k, reals, fakes):
    a, b = rng.normal(size=[reals, 6]), rng.normal(0.8, 1.2, size=[fakes, 6])
    result = precision_recall(a, b, k)
    assert result == by_brute_force(a, b, k)
    assert min(result) > 0 and max(result) < 1


def test_blocks_of_any_size_give_the_same(rng, monkeypatch):
    a, b = rng.normal(size=[61, 3]), rng.normal(0.8, 1.2, size=[83, 3])
    whole = precision_recall(a, b)
    for rows, columns in ((1, 83), (7, 11), (16, 2), (100, 1)):
        monkeypatch.setattr(manifolds, "ROWS", rows)
        monkeypatch.setattr(manifolds, "COLUMNS", columns)
        assert precision_recall(a, b) == whole


def test_a_large_offset_of_all_features_changes_nothing(rng):
    a, b = rng.normal(size=[60, 3]), rng.normal(0.8, 1.2, size=[60, 3])
    assert precision_recall(a + 1e6, b + 1e6) == precision_recall(a, b)


def test_equal_features_are_neighbors_of_each_other():
    # Every ball has the radius 0, and still holds its own centre.
    reals = np.zeros([5, 2])
    fakes = np.concatenate([np.zeros([3, 2]), np.ones([2, 2])])
    assert precision_recall(reals, fakes, k=3) == (0.6, 1.0)


@pytest.mark.parametrize(
    ("reals", "fakes", "k", "message"),
    [
        (np.zeros([3, 4]), np.zeros([9, 4]), 3, "at least 4 images. Received: 3"),
        (np.zeros([9, 4]), np.zeros([3, 4]), 3, "at least 4 images. Received: 3"),
        (np.zeros([9, 4]), np.zeros([9, 5]), 3, "Received: 4 and 5"),
        (np.zeros([9, 4]), np.full([9, 4], np.inf), 3, "must be finite"),
        (np.zeros([9, 4]), np.zeros([9, 4]), 0, "k of at least 1. Received: 0"),
    ],
)
def test_bad_features_are_refused(reals, fakes, k, message):
    with pytest.raises(UserError, match=message):
        precision_recall(reals, fakes, k)
