import numpy as np
import pytest

from pgan_tf import metrics
from pgan_tf.config import EVALUATE_METRICS
from pgan_tf.evaluation.catalog import CATALOG, NEIGHBORS, find_metrics
from pgan_tf.evaluation.extraction import ACCUMULATORS, ROWS_PER_IMAGE
from tfrecords_tools.errors import UserError


def test_flags_know_every_metric_and_every_metric_has_features():
    assert tuple(CATALOG) == EVALUATE_METRICS
    others = [metric for name, metric in CATALOG.items() if name != NEIGHBORS]
    assert {metric.feature_kind for metric in others} == set(ACCUMULATORS)
    assert set(ROWS_PER_IMAGE) == set(ACCUMULATORS)


def test_names_are_found_once_each_and_others_are_refused():
    assert [m.name for m in find_metrics(["fid", "swd", "fid"])] == ["fid", "swd"]
    with pytest.raises(UserError, match="--metrics must be of swd, ms_ssim, .* Received: fit"):
        find_metrics(["swd", "fit"])
    with pytest.raises(UserError, match="Received: none"):
        find_metrics([])


def test_each_metric_ranks_its_own_way_and_nan_is_never_better():
    swd, score = find_metrics(["swd", "is"])
    assert swd.better(1.0, than=2.0) and not swd.better(2.0, than=1.0)
    assert score.better(2.0, than=1.0) and not score.better(1.0, than=2.0)
    for metric in (swd, score):
        assert not metric.better(1.0, than=1.0)
        assert not metric.better(1.5, than=1.7, by=0.3) and not metric.better(1.9, 1.7, by=0.3)
        assert not metric.better(float("nan"), than=1.0)


@pytest.mark.parametrize("name", ["fid", "is", "kid", "precision_recall", "density_coverage"])
def test_feature_metrics_make_their_values_of_the_features(rng, name):
    reals = {"features": rng.normal(size=(40, 5)).astype(np.float32)}
    fakes = {"features": rng.normal(1, 1, size=(40, 5)).astype(np.float32)}
    fakes["logits"] = rng.normal(size=(40, 3)).astype(np.float32)
    (metric,) = find_metrics([name])
    values = metric.compare(reals, fakes, 7, 0).values
    a, b = reals["features"], fakes["features"]
    statistics = metrics.feature_statistics(a), metrics.feature_statistics(b)
    expected = {
        "fid": lambda: {"fid": metrics.frechet_distance(*statistics)},
        "is": lambda: dict(
            zip(("is", "is/std"), metrics.inception_score(fakes["logits"]), strict=True)
        ),
        "kid": lambda: {"kid": metrics.kernel_distance(a, b, seed=7)[0]},
        "precision_recall": lambda: dict(
            zip(
                ("precision_recall/precision", "precision_recall/recall"),
                metrics.precision_recall(a, b),
                strict=True,
            )
        ),
        "density_coverage": lambda: {
            "density_coverage/density": metrics.density_coverage(a, b).density,
            "density_coverage/coverage": metrics.density_coverage(a, b).coverage,
        },
    }[name]()
    assert expected.items() <= values.items()
    assert metric.headline in values


def test_a_deviation_is_left_out_where_there_is_one_estimate(rng):
    (metric,) = find_metrics(["kid"])
    features = [{"features": rng.normal(size=(4, 1)).astype(np.float32)} for _ in range(2)]
    assert set(metric.compare(*features, 7, 0).values) == {"kid", "kid/std"}
    few = [{"features": each["features"][:3]} for each in features]
    assert set(metric.compare(*few, 7, 0).values) == {"kid"}


def test_values_of_kid_have_another_method_where_they_differ_from_those_of_version_0_1():
    kid, fid = find_metrics(["kid", "fid"])
    assert kid.method(2000) is None and fid.method(10) is None
    assert kid.method(1999) == kid.method(10) is not None


def test_precision_and_recall_are_ranked_by_their_harmonic_mean(rng):
    near = {"features": rng.normal(size=(40, 2)).astype(np.float32)}
    far = {"features": near["features"] + 1000}
    (metric,) = find_metrics(["precision_recall"])
    assert metric.compare(near, near, 0, 0).values["precision_recall/f1"] == 1
    assert metric.compare(near, far, 0, 9).values["precision_recall/f1"] == 0


def some_features(rng, name):
    """Features of both sets for a metric, few."""
    if name == "swd":
        patches = rng.normal(size=(2, 128 * 6, 49)).astype(np.float32)
        return [{"16": each} for each in patches]
    if name == "ms_ssim":
        return [{"similarities": rng.uniform(size=20)} for _ in range(2)]
    if name == "modes":
        return [{}, {"numbers": rng.integers(1000, size=60)}]
    if name == NEIGHBORS:
        return [{"pixels": rng.uniform(size=30)}, {"pixels": rng.uniform(size=40)}]
    classes = {"classes": np.arange(110) % 2, "class_names": np.array(["cat", "dog"])}
    sets = [{"features": rng.normal(size=(110, 3)).astype(np.float32)} for _ in range(2)]
    return [{**each, **classes, "logits": each["features"]} for each in sets]


@pytest.mark.parametrize("name", list(CATALOG))
def test_every_value_but_deviations_has_a_spread_that_the_seed_decides(rng, name):
    (metric,) = find_metrics([name])
    features = some_features(rng, name)
    values, spread = metric.compare(*features, 7, 5)
    assert set(spread) == {name for name in values if not name.endswith("/std")}
    assert all(np.isfinite(value) and value >= 0 for value in spread.values())
    assert max(spread.values()) > 0
    assert metric.compare(*features, 7, 5).spread == spread
    assert metric.compare(*features, 7, 0) == (pytest.approx(values, rel=1e-9), {})


def test_modes_are_those_of_the_fakes():
    (metric,) = find_metrics(["modes"])
    values = metric.compare({}, {"numbers": np.arange(500)}, 0, 0).values
    assert values == {"modes/hit": 500, "modes/kl": pytest.approx(np.log(2))}
