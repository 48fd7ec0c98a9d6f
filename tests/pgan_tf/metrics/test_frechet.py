import numpy as np
import pytest
import scipy.linalg

from pgan_tf.metrics import (
    FeatureStatistics,
    StatisticsAccumulator,
    feature_statistics,
    frechet_distance,
)
from tfrecords_tools.errors import UserError


def gaussian(mean, covariance):
    return FeatureStatistics(np.asarray(mean, float), np.asarray(covariance, float), 1000)


def random_covariance(rng, size):
    basis = rng.normal(size=[size, 2 * size])
    return basis @ basis.T / (2 * size)


def by_scipy(a, b):
    """The formula as it is printed, with the root of an asymmetric matrix."""
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
    shift = np.sum((a.mean - b.mean) ** 2)
    return shift + np.trace(a.covariance + b.covariance - 2 * root).real


def test_statistics_are_the_mean_and_the_unbiased_covariance(rng):
    features = rng.normal(3, 2, size=[50, 7]).astype(np.float32)
    statistics = feature_statistics(features)
    np.testing.assert_allclose(statistics.mean, features.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(
        statistics.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-10
    )
    assert statistics.count == 50
    assert statistics.covariance.dtype == np.float64


def test_statistics_collected_in_uneven_batches_are_those_of_all(rng):
    features = rng.normal(size=[101, 5]).astype(np.float32)
    accumulator = StatisticsAccumulator()
    for part in np.split(features, [1, 2, 40, 41, 90]):
        accumulator.add(part)
    assert accumulator.count == 101
    whole = feature_statistics(features)
    np.testing.assert_allclose(accumulator.result().mean, whole.mean, atol=1e-14)
    np.testing.assert_allclose(accumulator.result().covariance, whole.covariance, atol=1e-14)


def test_a_large_mean_costs_no_precision(rng):
    features = rng.normal(size=[4096, 3])
    accumulator = StatisticsAccumulator()
    for part in np.split(features + 1e7, 64):
        accumulator.add(part)
    np.testing.assert_allclose(
        accumulator.result().covariance, np.cov(features, rowvar=False), rtol=1e-7, atol=1e-8
    )


def test_the_distance_of_numbers_has_a_closed_form():
    # (m_a - m_b)^2 + (sigma_a - sigma_b)^2
    assert frechet_distance(gaussian([1], [[4]]), gaussian([4], [[25]])) == pytest.approx(9 + 9)


def test_the_distance_of_commuting_covariances_has_a_closed_form(rng):
    basis = np.linalg.qr(rng.normal(size=[6, 6]))[0]
    a, b = rng.uniform(0.1, 3, size=[2, 6])
    shift = rng.normal(size=6)
    distance = frechet_distance(
        gaussian(shift, basis @ np.diag(a) @ basis.T),
        gaussian(0 * shift, basis @ np.diag(b) @ basis.T),
    )
    expected = shift @ shift + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    assert distance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [2, 16, 48])
def test_the_distance_is_scipys(rng, size):
    a = gaussian(rng.normal(size=size), random_covariance(rng, size))
    b = gaussian(rng.normal(size=size), random_covariance(rng, size))
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_fewer_images_than_features_are_no_obstacle(rng):
    # A covariance of rank n - 1. Within a shared subspace the distance is that of the subspace.
    low_a, low_b = rng.normal(size=[20, 8]), rng.normal(1, 2, size=[20, 8])
    basis = np.linalg.qr(rng.normal(size=[64, 8]))[0]
    lifted = frechet_distance(
        feature_statistics(low_a @ basis.T), feature_statistics(low_b @ basis.T)
    )
    inside = by_scipy(feature_statistics(low_a), feature_statistics(low_b))
    assert lifted == pytest.approx(inside, rel=1e-9)


def test_spread_in_directions_that_the_other_lacks_counts_whole():
    # The covariances have nothing in common: the distance is the sum of their traces.
    a = gaussian([0, 0, 0], np.diag([2.0, 0, 0]))
    b = gaussian([0, 0, 0], np.diag([0, 0, 5.0]))
    assert frechet_distance(a, b) == pytest.approx(7, rel=1e-12)


@pytest.mark.parametrize("images", [10, 500])
def test_equal_statistics_are_no_distance_apart(rng, images):
    statistics = feature_statistics(rng.normal(size=[images, 40]))
    distance = frechet_distance(statistics, statistics)
    assert 0 <= distance < 1e-10


def test_identical_images_have_no_spread():
    still = feature_statistics(np.ones([5, 3]))
    moved = feature_statistics(np.ones([5, 3]) + np.array([0, 2, 0]))
    assert frechet_distance(still, moved) == pytest.approx(4)


def test_samples_of_a_gaussian_approach_its_distance(rng):
    covariance = random_covariance(rng, 4)
    a = rng.multivariate_normal(np.zeros(4), covariance, size=20000)
    b = rng.multivariate_normal(np.ones(4), 4 * covariance, size=20000)
    # sqrt(C * 4 C) = 2 C, so the rest is tr(C + 4 C - 4 C) = tr(C).
    expected = 4 + np.trace(covariance)
    distance = frechet_distance(feature_statistics(a), feature_statistics(b))
    assert distance == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros([1, 4]), "at least 2 images. Received: 1"),
        (np.zeros([0, 4]), "at least 2 images. Received: 0"),
        (np.zeros([4]), r"shape \[n, d\]. Received: \[4\]"),
        (np.array([[0.0, np.nan], [1, 1]]), "must be finite. .* in 1 of 4"),
    ],
)
def test_features_without_statistics_are_refused(features, message):
    with pytest.raises(UserError, match=message):
        feature_statistics(features)


def test_features_of_different_extractors_are_not_compared(rng):
    a, b = feature_statistics(rng.normal(size=[9, 4])), feature_statistics(rng.normal(size=[9, 5]))
    with pytest.raises(UserError, match="Received: 4 and 5"):
        frechet_distance(a, b)
    accumulator = StatisticsAccumulator()
    accumulator.add(np.zeros([2, 4]))
    with pytest.raises(UserError, match="Received: 4 and 5"):
        accumulator.add(np.zeros([2, 5]))


def test_an_accumulator_of_one_image_has_no_result():
    accumulator = StatisticsAccumulator()
    accumulator.add(np.zeros([1, 4]))
    with pytest.raises(UserError, match="at least 2 images. Received: 1"):
        accumulator.result()
