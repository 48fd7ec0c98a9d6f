"""Suggestions for names that do not exist."""

import pytest

from tfrecords_tools.command.suggestions import did_you_mean, similar

KNOWN = ["batch_size", "batch_size_by_resolution", "data_dir", "fmap_base", "fmap_max"]
KNOWN += ["learning_rate", "mirror_augment", "resolution", "start_resolution", "total_kimg"]


@pytest.mark.parametrize(
    ("attempt", "first"),
    [
        ("batchsize", "batch_size"),
        ("batch-size", "batch_size"),
        ("fmap_bas", "fmap_base"),
        ("lr", "learning_rate"),
        ("kimg", "total_kimg"),
        ("resoluton", "resolution"),
        ("augment_mirror", "mirror_augment"),
        ("DATA_DIR", "data_dir"),
    ],
)
def test_what_was_meant_comes_first(attempt, first):
    assert similar(attempt, KNOWN)[0] == first


@pytest.mark.parametrize("attempt", ["", "x", "--", "zebra", "no"])
def test_nothing_is_proposed_for_what_is_like_nothing(attempt):
    assert did_you_mean(attempt, KNOWN) == ""


def test_few_are_proposed_with_their_prefix():
    assert did_you_mean("fmap", KNOWN, "--") == ". Did you mean --fmap_max or --fmap_base?"
    assert len(similar("resolution", KNOWN)) <= 3
