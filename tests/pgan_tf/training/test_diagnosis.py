"""The diagnosis of a run changes nothing of it, and is that of a run that never stopped."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.config import intervals
from pgan_tf.runs.metrics_log import MetricsLog
from pgan_tf.training import loop
from tests.helpers.tiny import tiny_config

pytestmark = pytest.mark.slow

# Scalars about the machine, not about training.
OF_THE_MACHINE = ("speed/", "memory/", "progress/eta")
MEASURED = "diagnosis/"
VARIABLE = "ATTRIBUTES/VARIABLE_VALUE"  # of those in a checkpoint


@pytest.fixture(autouse=True)
def measured_at_every_tick(monkeypatch, deterministic):
    monkeypatch.setattr(intervals, "_TRAINED_PER_MEASURED", 0)


def train(data_dir, run_dir, *, total_kimg=0.096, **run):
    """Train, on or from the start; return the scalars of all ticks."""
    config = tiny_config(data_dir, run_dir, **run)
    schedule = dataclasses.replace(config.schedule, total_kimg=total_kimg)
    loop.train(dataclasses.replace(config, schedule=schedule))
    return [
        {
            "images_seen": row.images_seen,
            **{tag: v for tag, v in row.values.items() if not tag.startswith(OF_THE_MACHINE)},
        }
        for row in MetricsLog(run_dir / "metrics.jsonl").rows()
    ]


def is_measured(row):
    return any(tag.startswith(MEASURED) for tag in row)


def test_training_is_the_same_and_a_continued_run_measures_the_same(
    labelled_dir, tmp_path, request
):
    undisturbed = train(labelled_dir, tmp_path / "undisturbed")
    measured = [row["images_seen"] for row in undisturbed if is_measured(row)]
    assert measured == [16, 32, 80, 96]  # not in the fade between

    without = train(labelled_dir, tmp_path / "without", diagnose=False)
    assert without == [
        {tag: v for tag, v in row.items() if not tag.startswith(MEASURED)} for row in undisturbed
    ]
    assert not (tmp_path / "without" / "diagnosis.json").exists()

    train(labelled_dir, tmp_path / "continued", total_kimg=0.08)
    assert train(labelled_dir, tmp_path / "continued") == undisturbed

    request.getfixturevalue("as_on_gpus")
    assert train(labelled_dir, tmp_path / "ahead") == undisturbed
    states = [
        tf.train.load_checkpoint(str(tmp_path / run / "checkpoints" / "state-000000096"))
        for run in ("undisturbed", "without", "ahead")
    ]
    names = [name for name in states[0].get_variable_to_shape_map() if VARIABLE in name]
    assert len(names) > 50
    for name in names:
        first, *others = (state.get_tensor(name) for state in states)
        for other in others:
            np.testing.assert_array_equal(other, first, err_msg=name)
