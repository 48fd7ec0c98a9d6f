import itertools

import numpy as np
import pytest

from pgan_tf.metrics import kernel_distance
from tfrecords_tools.errors import UserError


def by_loops(a, b):
    """The unbiased estimate as it is defined, pair by pair."""

    def kernel(x, y):
        return (float(np.dot(x, y)) / len(x) + 1) ** 3

    within_a = [kernel(x, y) for x, y in itertools.permutations(a, 2)]
    within_b = [kernel(x, y) for x, y in itertools.permutations(b, 2)]
    between = [kernel(x, y) for x in a for y in b]
    return np.mean(within_a) + np.mean(within_b) - 2 * np.mean(between)


def test_one_subset_of_all_images_is_the_direct_double_sum(rng):
    a, b = rng.normal(size=[12, 5]), rng.normal(0.5, 2, size=[12, 5])
    mean, std = kernel_distance(a, b, seed=0, subsets=3, subset_size=12)
    assert mean == pytest.approx(by_loops(a, b), rel=1e-10)
    assert np.isnan(std)


@pytest.mark.parametrize(("count", "size"), [(3, 3), (4, 2), (7, 3), (1500, 750), (2000, 1000)])
def test_subsets_are_half_of_the_smaller_set_or_1000(rng, count, size):
    a, b = rng.normal(size=[count, 2]), rng.normal(size=[count + 1, 2])
    found = kernel_distance(a, b, seed=5, subsets=2)
    np.testing.assert_equal(kernel_distance(a, b, seed=5, subsets=2, subset_size=size), found)
    assert np.isnan(found[1]) == (size == count)


def test_three_images_are_taken_whole(rng):
    a, b = rng.normal(size=[3, 5]), rng.normal(size=[3, 5])
    assert kernel_distance(a, b, seed=0)[0] == pytest.approx(by_loops(a, b), rel=1e-10)


def test_no_deviation_is_known_where_a_subset_is_all_of_a_set(rng):
    a, b = rng.normal(size=[10, 5]), rng.normal(size=[500, 5])
    assert np.isnan(kernel_distance(a, b, seed=0, subset_size=1000)[1])
    assert np.isnan(kernel_distance(b, a, seed=0, subset_size=10)[1])
    assert kernel_distance(a, b, seed=0, subset_size=9)[1] > 0
    assert kernel_distance(a, b, seed=0)[1] > 0


def test_subsets_of_half_vary_as_estimates_of_so_many_images_do(rng):
    a, b = rng.normal(size=[2, 4000, 6])
    b = 1.3 * b + 0.2
    alone = [kernel_distance(*ab, seed=0, subset_size=200)[0] for ab in independent(a, b, 200)]
    within = [kernel_distance(*ab, seed=0)[1] for ab in independent(a, b, 400)]
    # Without repetition, so that of a half each: by the rest of a finite population, sqrt(1/2).
    assert np.mean(within) == pytest.approx(np.std(alone) * np.sqrt(0.5), rel=0.3)


def independent(a, b, count):
    """Consecutive sets of images."""
    starts = range(0, len(a), count)
    return [(a[start : start + count], b[start : start + count]) for start in starts]


def test_equal_distributions_are_no_distance_apart_on_average(rng):
    a, b = rng.normal(size=[20000, 8]), rng.normal(size=[20000, 8])
    mean, std = kernel_distance(a, b, seed=1, subsets=60, subset_size=100)
    assert abs(mean) < 4 * std / np.sqrt(60)
    # A biased estimate would be off by about (E k(x, x) - E k(x, y)) * 2 / n, far outside.
    bias = 2 * np.mean((np.sum(a**2, 1) / 8 + 1) ** 3 - 1) / 100
    assert bias > 10 * std / np.sqrt(60)


def test_constant_features_have_a_closed_form():
    # k(a, a) + k(b, b) - 2 k(a, b), with a.a = 2, b.b = 0, a.b = 0 over 2 features.
    a, b = np.ones([5, 2]), np.zeros([5, 2])
    assert kernel_distance(a, b, seed=0, subset_size=4) == pytest.approx((8 + 1 - 2, 0))


def test_the_seed_alone_chooses_the_subsets(rng):
    a, b = rng.normal(size=[50, 4]), rng.normal(size=[60, 4])
    first = kernel_distance(a, b, seed=3, subset_size=10)
    assert kernel_distance(a, b, seed=3, subset_size=10) == first
    assert kernel_distance(a, b, seed=4, subset_size=10) != first


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (np.zeros([1, 4]), np.zeros([5, 4]), {}, "at least 2 images. Received: 1"),
        (np.zeros([5, 4]), np.zeros([5, 3]), {}, "Received: 4 and 3"),
        (np.full([5, 4], np.nan), np.zeros([5, 4]), {}, "must be finite"),
        (np.zeros([5, 4]), np.zeros([5, 4]), {"subsets": 0}, "Received: 0 of None"),
        (np.zeros([5, 4]), np.zeros([5, 4]), {"subset_size": 1}, "Received: 100 of 1"),
    ],
)
def test_bad_features_are_refused(a, b, options, message):
    with pytest.raises(UserError, match=message):
        kernel_distance(a, b, seed=0, **options)
