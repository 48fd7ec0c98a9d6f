import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from pgan_tf.metrics import density_coverage, manifolds
from tfrecords_tools.errors import UserError


def by_neighbors(reals, fakes, k):
    """Equations of the paper, with radii and balls by scikit-learn's trees."""
    tree = NearestNeighbors(algorithm="kd_tree").fit(reals)
    radii = tree.kneighbors(n_neighbors=k)[0][:, -1]
    of_fakes = NearestNeighbors(algorithm="kd_tree").fit(fakes)
    inside = [
        of_fakes.radius_neighbors([real], radius=radius, return_distance=False)[0]
        for real, radius in zip(reals, radii, strict=True)
    ]
    density = sum(map(len, inside)) / (k * len(fakes))
    return density, np.mean([len(each) > 0 for each in inside])


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("reals", "fakes"), [(60, 90), (90, 60), (40, 1)])
def test_equal_to_nearest_neighbors_by_trees(rng, k, reals, fakes):
    a, b = rng.normal(size=[reals, 4]), rng.normal(0.3, 0.8, size=[fakes, 4])
    found = density_coverage(a, b, k)
    assert (found.density, found.coverage) == pytest.approx(by_neighbors(a, b, k), rel=1e-12)


def test_values_of_equal_distributions_are_those_expected(rng):
    found = [density_coverage(*rng.normal(size=[2, 300, 3])) for _ in range(20)]
    assert np.mean([each.density for each in found]) == pytest.approx(1, rel=0.05)
    # 1 - (n - 1) ... (n - k) / ((2 n - 1) ... (2 n - k)), section 3.3, is near 1 - 1 / 2^5.
    expected = 1 - np.prod([(300 - i) / (600 - i) for i in range(1, 6)])
    assert np.mean([each.coverage for each in found]) == pytest.approx(expected, abs=0.01)


def test_one_fake_far_away_does_not_cover_reals(rng):
    reals = rng.normal(size=[50, 2])
    found = density_coverage(reals, np.concatenate([reals[:1], np.full([3, 2], 1e3)]))
    assert 0 < found.coverage < 0.5 and found.density < 0.5


def test_blocks_of_any_size_give_the_same(rng, monkeypatch):
    a, b = rng.normal(size=[61, 3]), rng.normal(0.8, 1.2, size=[83, 3])
    whole = density_coverage(a, b)
    for rows, columns in ((1, 83), (7, 11), (16, 2), (100, 1)):
        monkeypatch.setattr(manifolds, "ROWS", rows)
        monkeypatch.setattr(manifolds, "COLUMNS", columns)
        found = density_coverage(a, b)
        np.testing.assert_array_equal(found.densities, whole.densities)
        np.testing.assert_array_equal(found.influence, whole.influence)


def test_influences_are_what_the_coverage_loses_without_a_fake(rng):
    a, b = rng.normal(size=[50, 3]), rng.normal(0.5, 0.8, size=[40, 3])
    whole = density_coverage(a, b)
    without = [density_coverage(a, np.delete(b, i, axis=0)).coverage for i in range(len(b))]
    np.testing.assert_allclose(
        whole.influence, len(b) * (whole.coverage - np.array(without)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("reals", "fakes", "k", "message"),
    [
        (np.zeros([5, 4]), np.zeros([9, 4]), 5, "at least 6 images. Received: 5"),
        (np.zeros([9, 4]), np.zeros([0, 4]), 5, "at least 1 images. Received: 0"),
        (np.zeros([9, 4]), np.zeros([9, 5]), 3, "Received: 4 and 5"),
        (np.zeros([9, 4]), np.full([9, 4], np.inf), 3, "must be finite"),
        (np.zeros([9, 4]), np.zeros([9, 4]), 0, "k of at least 1. Received: 0"),
    ],
)
def test_bad_features_are_refused(reals, fakes, k, message):
    with pytest.raises(UserError, match=message):
        density_coverage(reals, fakes, k)
