"""The history of a run from its metrics log."""

from pgan_tf.config.phases import Schedule
from pgan_tf.diagnosis.history import in_phase, newest, ticks_of
from pgan_tf.runs.metrics_log import MetricsLog
from tests.helpers.histories import history, subject


def test_ticks_are_the_rows_that_training_has_written(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(20_000, 20_000, {"loss/discriminator": float("nan"), "scores/real": 1.0})
    log.append(20_000, 20_000, {"metrics/swd": 5.0})
    log.append(20_500, 20_500, {"loss/discriminator": 0.5})
    schedule = Schedule(subject().config.schedule, 8)
    first, second = ticks_of(log.rows(), schedule)
    assert (first.images_seen, first.phase.resolution, first.phase.fading) == (20_000, 4, False)
    assert first.fraction == 1.0
    assert first.get("loss/discriminator") is None
    assert first.get("scores/real") == 1.0
    assert second.phase.fading
    assert second.fraction == 0.025


def test_a_step_that_reaches_into_the_next_phase_is_of_its_own(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(20_016, 20_016, {"loss/discriminator": 0.5, "progress/batch_size": 32})
    log.append(20_048, 20_048, {"loss/discriminator": 0.5, "progress/batch_size": 32})
    ticks = ticks_of(log.rows(), Schedule(subject().config.schedule, 8))
    assert [tick.phase.index for tick in ticks] == [0, 1]


def test_values_are_those_of_the_newest_phase():
    ticks = history(subject(), kimg=range(18, 44), scores__real=float)
    assert [tick.images_seen for tick in in_phase(ticks)] == [41_000, 42_000, 43_000]
    assert newest(ticks, "scores/real", 3) == [41.0, 42.0, 43.0]
    assert newest(ticks, "scores/real", 4) is None
    assert newest(ticks, "scores/unknown", 1) is None


def test_ticks_without_a_value_are_passed_over_but_not_the_newest():
    ticks = history(subject(), kimg=range(1, 8), scores__real=lambda k: None if k == 5 else k)
    assert newest(ticks, "scores/real", 3) == [4, 6, 7]
    assert newest(ticks[:5], "scores/real", 3) is None
