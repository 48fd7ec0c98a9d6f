import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats

from pgan_tf.metrics import inception_score
from tfrecords_tools.errors import UserError


def sure_of(classes, count):
    """Logits that leave no doubt, `[n count]`."""
    return np.eye(count)[classes] * 1000.0


def test_uniform_predictions_score_one():
    assert inception_score(np.full([100, 7], 3.0)) == (pytest.approx(1), pytest.approx(0))


def test_sure_and_evenly_spread_predictions_score_the_number_of_classes():
    logits = sure_of(np.arange(200) % 20, 20)
    assert inception_score(logits) == (pytest.approx(20), pytest.approx(0))


def test_one_class_only_scores_one():
    assert inception_score(sure_of(np.zeros(50, int), 20)) == (pytest.approx(1), pytest.approx(0))


def test_each_split_is_scored_by_itself():
    # The first half shows one class, the second four.
    logits = sure_of(np.r_[np.zeros(40, int), np.arange(40) % 4], 4)
    assert inception_score(logits, splits=2) == (pytest.approx(2.5), pytest.approx(1.5))


def test_the_score_is_the_mean_exponential_of_scipys_entropy(rng):
    logits = rng.normal(0, 3, size=[103, 11]).astype(np.float32)
    p = scipy.special.softmax(logits.astype(np.float64), axis=1)
    edges = np.floor(np.arange(11) * 103 / 10).astype(int)
    scores = []
    for start, end in itertools.pairwise(edges):
        part = p[start:end]
        marginal = np.broadcast_to(part.mean(0), part.shape)
        scores.append(np.exp(scipy.stats.entropy(part, marginal, axis=1).mean()))
    mean, std = inception_score(logits)
    assert mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert std == pytest.approx(np.std(scores), rel=1e-12)


def test_a_constant_added_to_the_logits_of_an_image_changes_nothing(rng):
    logits = rng.normal(size=[40, 5])
    shifted = logits + rng.normal(0, 500, size=[40, 1])
    assert inception_score(shifted) == pytest.approx(inception_score(logits), rel=1e-9)


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (np.zeros([19, 4]), 10, "at least 20 images. Received: 19"),
        (np.full([20, 4], np.inf), 10, "must be finite"),
        (np.zeros([20]), 10, r"Received: \[20\]"),
        (np.zeros([20, 4]), 0, "at least 1 split. Received: 0"),
    ],
)
def test_bad_logits_are_refused(logits, splits, message):
    with pytest.raises(UserError, match=message):
        inception_score(logits, splits)
