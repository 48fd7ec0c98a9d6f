import dataclasses
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgan_tf import metrics
from pgan_tf.evaluation.by_class import MIN_IMAGES, classes_of, is_of_one_class, value_names
from pgan_tf.evaluation.catalog import CATALOG, find_metrics
from pgan_tf.evaluation.evaluator import Evaluator
from pgan_tf.evaluation.feature_cache import FeatureCache
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import Fakes, GeneratedImages, Reals
from pgan_tf.evaluation.results import values_of
from pgan_tf.metrics import Features
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid

COUNTS = {"cat": 80, "T-shirt/top": 60, "mean": 70, "rare": 20}
NAMES = ["cat", "T-shirt%2Ftop", "%6Dean", "rare"]


def of_classes(rng, *, shift):
    """Features of images of four classes, mixed."""
    classes = rng.permutation(np.repeat(np.arange(4), list(COUNTS.values())))
    features = rng.normal(size=(len(classes), 3)) * (1 + classes[:, None]) + shift
    return {"features": features, "classes": classes, "class_names": np.array(NAMES)}


@pytest.mark.parametrize("replicates", [0, 20])
def test_values_are_those_of_the_images_of_each_class(rng, replicates):
    reals, fakes = of_classes(rng, shift=0), of_classes(rng, shift=0.5)
    distances = CATALOG["fid_by_class"].compare(reals, fakes, 0, replicates)
    manifolds = CATALOG["precision_recall_by_class"].compare(reals, fakes, 0, replicates)
    expected, pairs, spreads = {}, {}, {}
    for number, name in enumerate(NAMES[:3]):
        a, b = (of["features"][of["classes"] == number] for of in (reals, fakes))
        statistics = metrics.feature_statistics(a), metrics.feature_statistics(b)
        expected[name], spreads[name] = metrics.frechet_distance_and_spread(*statistics, b)
        pairs[name] = metrics.precision_recall(a, b)
    assert distances.values == pytest.approx(
        {f"fid_by_class/{name}": value for name, value in expected.items()}
        | {"fid_by_class/mean": np.mean(list(expected.values()))}
    )
    for name, (precision, recall) in pairs.items():
        prefix = f"precision_recall_by_class/{name}"
        assert manifolds.values[f"{prefix}/precision"] == precision
        assert manifolds.values[f"{prefix}/recall"] == recall
    f1 = [2 * p * r / (p + r) for p, r in pairs.values()]
    assert manifolds.values["precision_recall_by_class/mean/f1"] == pytest.approx(np.mean(f1))
    if replicates:
        total = np.sqrt(np.sum(np.square(list(spreads.values())))) / 3
        assert distances.spread["fid_by_class/mean"] == pytest.approx(total)
        assert set(manifolds.spread) == set(manifolds.values)
    else:
        assert distances.spread == manifolds.spread == {}


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_names_of_values_keep_apart_whatever_classes_are_called(names):
    found = value_names(names, len(names))
    assert len(set(found)) == len(names)
    for name in found:
        assert name and name != "mean" and name == name.strip() and "  " not in name
        assert not set(name) & set("/\n\r\t\0\x1b\"'")
        # As values are told apart when results are read, with values of other metrics beside them.
        values = {f"fid_by_class/{name}": 1.0, "fid_by_class/mean": 2.0, "fid": 3.0}
        assert len(values_of("fid_by_class", values)) == 2
        assert is_of_one_class(f"fid_by_class/{name}")
        assert is_of_one_class(f"precision_recall_by_class/{name}/recall")


def test_common_names_stay_as_they_are():
    letters = string.ascii_letters + "äß猫-_."
    assert value_names([letters, "Ankle boot", "7"], 3) == [letters, "Ankle boot", "7"]
    assert value_names(["a/b", "mean", "50%"], 3) == ["a%2Fb", "%6Dean", "50%25"]
    assert value_names(["x", "x"], 2) == ["0-x", "1-x"]
    assert value_names(None, 3) == ["0", "1", "2"]
    assert not is_of_one_class("fid_by_class/mean") and not is_of_one_class("fid")
    assert not is_of_one_class("precision_recall_by_class/mean/f1")


@pytest.mark.parametrize("row", [[0, 0, 0], [1, 1, 0], [0.5, 0, 0], [0, 2, 0], [-1, 1, 1]])
def test_labels_that_are_no_classes_are_refused(row):
    assert classes_of(np.eye(3)[[2, 0]], "data", "fid_by_class").tolist() == [2, 0]
    labels = np.array([[1, 0, 0], row], np.float32)
    with pytest.raises(UserError, match=f"one class an image.* Received: .{float(row[0])}, .*data"):
        classes_of(labels, "data", "fid_by_class")


class Means:
    """An extractor: the mean of each channel."""

    name, digest = "means", "1"

    def __init__(self):
        self.seen = 0

    def __call__(self, batch):
        self.seen += len(batch)
        return Features(batch.mean((1, 2)).astype(np.float32))


def labelled(directory, counts, names=("a", "b", "c")):
    labels = np.eye(len(counts), dtype=np.float32)[np.repeat(np.arange(len(counts)), counts)]
    data = write_pyramid(directory, resolution=4, channels=3, count=len(labels), labels=labels)
    return dataclasses.replace(open_pyramid(data), label_names=names)


def evaluator(pyramid, directory, names=("fid", "fid_by_class"), num_images=None):
    return Evaluator(
        find_metrics(names),
        Reals(PyramidImages(pyramid, 4), seed=0, mirror=False),
        num_images=num_images,
        cache=FeatureCache(directory / "cache"),
        extractors={"features": Means()},
        replicates=20,
    )


def fakes(rng, labels):
    images = rng.integers(0, 256, [400, 4, 4, 3]).astype(np.uint8)

    def generate(latents, labels):
        return GeneratedImages(images[: len(latents)], np.ones(len(latents), bool))

    return Fakes("fakes", generate, 4, labels, size=(4, 4), seed=0, batch_size=400)


@pytest.fixture
def pyramid(tmp_path):
    return labelled(tmp_path / "data", (150, 120, 20))


def test_classes_share_features_with_other_metrics_and_rare_ones_are_left_out(
    pyramid, tmp_path, rng, caplog
):
    compared = evaluator(pyramid, tmp_path)
    labels = Reals(PyramidImages(pyramid, 4), seed=0, mirror=False).draw_labels(290)
    values, spread = compared.evaluate(fakes(rng, labels))
    by_class = values_of("fid_by_class", values)
    assert set(by_class) == {f"fid_by_class/{name}" for name in ("a", "b", "mean")} <= set(spread)
    assert "fid_by_class leaves out 1 of 3 classes, with fewer than 50 reals or fakes: c" in (
        caplog.text
    )
    (extractor,) = compared._extractors.values()
    assert extractor.seen == 2 + 290 + 290
    floor = compared.floor()
    assert {"fid", "fid_by_class/a", "fid_by_class/mean"} <= set(floor)


def test_other_classes_of_the_same_images_are_other_results(pyramid, tmp_path):
    first = evaluator(pyramid, tmp_path).methods
    assert set(first) == {"fid_by_class"}
    renamed = dataclasses.replace(pyramid, label_names=("a", "b", "other"))
    assert evaluator(renamed, tmp_path).methods != first
    swapped = dataclasses.replace(pyramid, labels=np.asarray(pyramid.labels)[::-1])
    assert evaluator(swapped, tmp_path).methods != first
    assert evaluator(pyramid, tmp_path).methods == first


def test_missing_classes_are_refused_before_any_work(pyramid, tmp_path, rng):
    unlabelled = dataclasses.replace(pyramid, labels=None, label_names=None)
    with pytest.raises(UserError, match="fid_by_class needs data with classes.*has no labels"):
        evaluator(unlabelled, tmp_path)
    with pytest.raises(UserError, match="at least 50 images of a class. Received: [0-9]+ at most"):
        evaluator(pyramid, tmp_path, num_images=60)
    compared = evaluator(pyramid, tmp_path)
    with pytest.raises(UserError, match="fakes of known classes.*Received: fakes, which has none"):
        compared.require_labels(fakes(rng, None))
    of_one = np.tile(np.eye(3, dtype=np.float32)[2], (290, 1))
    with pytest.raises(UserError, match="in both sets. Received: none such, of fakes and "):
        compared.require_labels(fakes(rng, of_one))
    evaluator(unlabelled, tmp_path, names=["fid"]).require_labels(fakes(rng, None))
    assert MIN_IMAGES == 50
