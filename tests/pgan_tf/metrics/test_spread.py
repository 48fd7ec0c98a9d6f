"""The spread of every metric against the truth: its deviation over independent sets of fakes."""

import numpy as np
import pytest

from pgan_tf.evaluation.catalog import CATALOG
from pgan_tf.metrics import (
    FeatureStatistics,
    bootstrap,
    feature_statistics,
    frechet_distance,
    frechet_distance_and_spread,
    spread_of_mean,
)

SETS = 60
SEED = 3


def spreads(metric, reals, draw, *, sets=SETS, estimates=6, replicates=20):
    """The true deviation of each value over sets of fakes, and the root mean square estimate."""
    compare = CATALOG[metric].compare
    values = [compare(reals, draw(), SEED, 0).values for _ in range(sets)]
    found = [compare(reals, draw(), SEED, replicates).spread for _ in range(estimates)]
    return {
        name: (
            np.std([each[name] for each in values], ddof=1),
            np.sqrt(np.mean([each[name] ** 2 for each in found])),
        )
        for name in found[0]
    }


def features(rng, count, scale=0.9, shift=0.3):
    # Clipped, as those of networks are; one direction in common.
    common = rng.normal(size=[count, 1])
    return np.maximum(scale * rng.normal(size=[count, 6]) + common + shift, 0).astype(np.float32)


@pytest.mark.parametrize(
    ("metric", "count", "sets", "factors"),
    [
        ("fid", 400, 250, {"fid": (0.8, 1.4)}),
        ("kid", 400, 80, {"kid": (0.75, 1.4)}),
        # The jackknife errs on the high side, by up to 1.7 in simulations of many sets.
        (
            "precision_recall",
            250,
            150,
            {"precision": (0.8, 1.25), "recall": (1, 2.1), "f1": (1, 2.1)},
        ),
        ("density_coverage", 250, 150, {"density": (0.8, 1.25), "coverage": (1, 2.1)}),
    ],
)
def test_spreads_of_features_are_the_deviations_over_independent_fakes(
    rng, metric, count, sets, factors
):
    reals = {"features": features(rng, count, scale=1.0, shift=0.0)}
    found = spreads(
        metric, reals, lambda: {"features": features(rng, count)}, sets=sets, estimates=12
    )
    for name, (true, estimated) in found.items():
        low, high = factors[name.split("/")[-1]]
        assert low * true < estimated < high * true, name


def test_of_kid_it_is_at_most_twice_too_large_where_sets_do_not_differ(rng):
    reals = {"features": rng.normal(size=[300, 6])}
    found = spreads("kid", reals, lambda: {"features": rng.normal(size=[300, 6])})
    true, estimated = found["kid"]
    assert 0.8 * true < estimated < 2.2 * true


@pytest.mark.slow
def test_of_patches_it_is_the_deviation_of_whole_images(rng):
    def draw(contrast=1.0):
        # Patches of an image have its contrast and brightness: they are far from independent.
        image = rng.gamma(8, contrast / 8, [24, 1, 1]) * rng.normal(size=[24, 128, 49])
        return {"16": (image + rng.normal(size=[24, 1, 1])).reshape(-1, 49).astype(np.float32)}

    found = spreads("swd", draw(), lambda: draw(0.5), sets=40, estimates=8)
    for true, estimated in found.values():
        assert 0.6 * true < estimated < 1.5 * true


def test_of_scores_it_is_the_deviation_over_logits(rng):
    draw = lambda: {"logits": 2 * rng.normal(size=[500, 10])}  # noqa: E731
    true, estimated = spreads("is", {}, draw, sets=200, estimates=12)["is"]
    assert estimated == pytest.approx(true, rel=0.3)


def test_of_similarities_it_is_the_deviation_over_pairs(rng):
    reals = {"similarities": rng.uniform(size=100)}
    draw = lambda: {"similarities": rng.beta(2, 5, size=100)}  # noqa: E731
    found = spreads("ms_ssim", reals, draw, sets=400, estimates=20)
    for true, estimated in found.values():
        assert estimated == pytest.approx(true, rel=0.3)


def test_of_modes_it_is_the_deviation_over_numbers(rng):
    popular = rng.dirichlet(np.full(1000, 0.5))
    draw = lambda: {"numbers": rng.choice(1000, 4000, p=popular)}  # noqa: E731
    found = spreads("modes", {}, draw, sets=200, estimates=12)
    for name, (true, estimated) in found.items():
        assert 0.75 * true < estimated < 1.7 * true, name


def test_of_neighbors_it_is_the_deviation_over_distances(rng):
    reals = {"pixels": rng.gamma(9, size=400)}
    draw = lambda: {"pixels": rng.gamma(7, size=400)}  # noqa: E731
    found = spreads("neighbors", reals, draw, sets=300, estimates=20)
    for name in ("ratio", "below_1_percent"):
        true, estimated = found[f"neighbors/pixels/{name}"]
        assert estimated == pytest.approx(true, rel=0.3)


@pytest.mark.parametrize("count", [30, 300])
def test_the_influence_on_the_frechet_distance_is_its_derivative_by_weights(rng, count):
    reals = feature_statistics(rng.normal(size=[60, 4]) * [1, 2, 3, 0.5])
    fakes = rng.normal(0.3, 1.2, size=[count, 4])

    def distance(weights):
        mean = weights @ fakes
        centered = fakes - mean
        # Unbiased as for equal weights.
        covariance = (centered.T * weights) @ centered * count / (count - 1)
        return frechet_distance(reals, FeatureStatistics(mean, covariance, count))

    step, equal = 1e-5, np.full(count, 1 / count)
    moved = (1 - step) * equal + step * np.eye(count)
    slopes = [(distance(weights) - distance(equal)) / step for weights in moved]
    value, spread = frechet_distance_and_spread(reals, feature_statistics(fakes), fakes)
    assert value == pytest.approx(distance(equal), rel=1e-9)
    # Covariances are divided by n - 1, which the influence leaves out.
    assert spread == pytest.approx(np.std(slopes) / np.sqrt(count), rel=1.5 / count)


def test_of_the_frechet_distance_it_is_near_the_bootstraps(rng):
    reals = feature_statistics(features(rng, 3000, scale=1.0, shift=0.0))
    fakes = features(rng, 3000)
    drawn = bootstrap(
        lambda rows: {"fid": frechet_distance(reals, feature_statistics(fakes[rows]))},
        len(fakes),
        replicates=100,
        seed=1,
    )
    spread = frechet_distance_and_spread(reals, feature_statistics(fakes), fakes)[1]
    assert spread == pytest.approx(drawn["fid"], rel=0.25)


def test_fewer_fakes_than_features_have_a_finite_spread(rng):
    reals, fakes = rng.normal(size=[10, 30]), rng.normal(1, 1, size=[10, 30])
    spread = frechet_distance_and_spread(*map(feature_statistics, (reals, fakes)), fakes)[1]
    assert 0 < spread < 100
    same = feature_statistics(np.ones([4, 3]))
    assert frechet_distance_and_spread(same, same, np.ones([4, 3])) == (0, 0)


def test_the_bootstrap_of_a_mean_is_its_closed_form(rng):
    values = rng.gamma(2, size=200)
    found = bootstrap(lambda rows: {"mean": values[rows].mean()}, 200, replicates=2000, seed=0)
    assert found["mean"] == pytest.approx(spread_of_mean(values), rel=0.06)
    assert bootstrap(lambda rows: {"mean": 0.0}, 1, replicates=9, seed=0) == {}
    assert bootstrap(lambda rows: {"mean": 0.0}, 9, replicates=1, seed=0) == {}
