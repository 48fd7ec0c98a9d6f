"""The table and advice made from a trial's results; the trials here are stand-ins."""

import dataclasses
import json

import pytest

from pgan_tf.config import DataConfig, NetworkConfig, RunConfig, ScheduleConfig, TrainConfig
from pgan_tf.planning.dry_run import dry_run
from pgan_tf.planning.plan import plan
from pgan_tf.planning.trial_process import LIMIT_VARIABLE
from tests.helpers import trials
from tests.helpers.tiny import write_pyramid
from tests.helpers.trials import rows_of
from tfrecords_tools.errors import UserError


@pytest.fixture
def config(tmp_path):
    """Three phases: 4x4, 8x8 fading, 8x8."""
    return TrainConfig(
        data=DataConfig(data_dir=str(write_pyramid(tmp_path / "t", resolution=8, channels=3))),
        network=NetworkConfig(fmap_base=32, fmap_max=8),
        schedule=ScheduleConfig(
            stabilize_kimg=10,
            fade_kimg=10,
            total_kimg=100,
            batch_size=32,
            batch_size_by_resolution={4: 64},
        ),
    )


def test_every_phase_is_measured_and_printed_in_the_order_of_training(config, capfd):
    dry_run(config, trials.everything_fits)
    out = capfd.readouterr().out
    assert "to 8x8, 3 channel(s), no labels, float32, on 2 replica(s): GPU:0, GPU:1" in out
    assert [row[:7] for row in rows_of(out)[:-1]] == [
        ["4x4", "stabilize", "64", "32", "0.001", "10", "10"],
        ["8x8", "fade", "32", "16", "0.001", "10", "10"],
        ["8x8", "stabilize", "32", "16", "0.001", "80", "10"],
    ]
    assert rows_of(out)[-1][:4] == ["total", "100", "10", "64"]


def test_what_needs_most_memory_is_tried_first(config, capfd):
    schedule = dataclasses.replace(config.schedule, batch_size_by_resolution={4: 4})
    dry_run(dataclasses.replace(config, schedule=schedule), trials.everything_fits)
    tried = [line for line in capfd.readouterr().out.splitlines() if "prepared in" in line]
    assert [line.split(",")[0] for line in tried] == ["8x8 fade", "8x8 stabilize", "4x4 stabilize"]


def test_a_batch_that_does_not_fit_is_halved_and_both_are_shown(config, capfd):
    with pytest.raises(UserError) as caught:
        dry_run(config, trials.sixteen_fit_at_8x8)
    assert str(caught.value) == (
        "the batch at 8x8 does not fit in memory. What does: --batch_size_by_resolution=4:64,8:16; "
        "or, to train the same, --microbatches=2"
    )
    rows = rows_of(capfd.readouterr().out)
    assert [(row[0], row[1], row[2], " ".join(row[9:])) for row in rows[:-1]] == [
        ("4x4", "stabilize", "64", ""),
        ("8x8", "fade", "32", "does not fit"),
        ("8x8", "fade", "16", "fits"),
        ("8x8", "stabilize", "32", "does not fit"),
        ("8x8", "stabilize", "16", "fits"),
    ]
    assert rows[1][6:9] == ["-", "-", "-"]


def test_a_batch_that_no_microbatches_can_split_is_only_made_smaller(config, capfd):
    network = dataclasses.replace(config.network, stddev_group_size=0)
    with pytest.raises(UserError, match="--batch_size_by_resolution=4:64,8:16$"):
        dry_run(dataclasses.replace(config, network=network), trials.sixteen_fit_at_8x8)


def test_of_a_run_that_has_begun_the_rest_is_tried_and_shown_as_by_the_plan(
    config, tmp_path, capfd
):
    config = dataclasses.replace(config, run=RunConfig(run_dir=str(tmp_path / "run")))
    (tmp_path / "run").mkdir()
    log = tmp_path / "run" / "metrics.jsonl"
    tick = {"progress/batch_size": 32, "speed/seconds_per_kimg": 10}
    log.write_text(json.dumps({"images_seen": 15_008, **tick}) + "\n")
    dry_run(config, trials.everything_fits)
    out = capfd.readouterr().out
    assert set(tried(out)) == {"8x8 fade", "8x8 stabilize"}
    rows = rows_of(out)
    assert [row[5:7] for row in rows[:-1]] == [["4.992", "10"], ["80", "10"]]
    assert rows[-1][:2] == ["total", "84.992"]
    rest = "run: 15.008 of 100 kimg are done; 84.992 kimg in 2 phases remain: 14 min"
    assert rest in out and rest in plan(config)

    log.write_text(json.dumps({"images_seen": 100_000, **tick}) + "\n")
    dry_run(config, trials.is_a_fault)
    done = f"{tmp_path}/run: all 100 kimg are done"
    assert capfd.readouterr().out == f"{done}\n" and plan(config) == done


@pytest.fixture
def grown(config, tmp_path):
    """Seven phases, up to 32x32, of which the last two need most memory by far."""
    schedule = dataclasses.replace(config.schedule, batch_size=32, batch_size_by_resolution={})
    data = DataConfig(data_dir=str(write_pyramid(tmp_path / "grown", resolution=32, channels=3)))
    return dataclasses.replace(config, data=data, schedule=schedule)


def tried(out):
    return [line.split(",")[0] for line in out.splitlines() if "prepared in" in line]


def test_after_three_minutes_only_what_may_need_most_memory_is_tried(grown, capfd, monkeypatch):
    monkeypatch.setattr("pgan_tf.planning.dry_run._BUDGET_SECONDS", 0.0)
    dry_run(grown, trials.everything_fits)
    out = capfd.readouterr().out
    assert tried(out) == ["32x32 fade", "32x32 stabilize", "4x4 stabilize"]
    rows = rows_of(out)
    assert [row[9:] for row in rows[:-1]] == [[], *[["derived"]] * 4, [], []]
    assert all(row[7] == "-" and float(row[6]) > 0 for row in rows[1:5])
    assert float(rows[-1][2]) > 0 and rows[-1][3] == "32"
    assert "derived: not tried, because these phases need less memory than others" in out


def test_until_then_every_phase_is_tried_the_quickest_before_others(grown, capfd):
    dry_run(grown, trials.everything_fits)
    out = capfd.readouterr().out
    assert tried(out)[:3] == ["32x32 fade", "32x32 stabilize", "4x4 stabilize"]
    assert len(tried(out)) == 7 and "derived" not in out


def test_what_may_need_most_once_another_batch_is_smaller_is_tried(grown, capfd, monkeypatch):
    monkeypatch.setattr("pgan_tf.planning.dry_run._BUDGET_SECONDS", 0.0)
    with pytest.raises(UserError, match="--batch_size_by_resolution=32:4; "):
        dry_run(grown, trials.four_fit_at_32x32)
    assert tried(capfd.readouterr().out)[2:] == ["4x4 stabilize", "16x16 fade", "16x16 stabilize"]


def test_workers_try_the_same_phases_whatever_the_time(grown, capfd, monkeypatch):
    monkeypatch.setattr("pgan_tf.planning.dry_run._BUDGET_SECONDS", 0.0)
    run = dataclasses.replace(grown.run, distribution="multi_worker")
    dry_run(dataclasses.replace(grown, run=run), trials.everything_fits)
    assert len(tried(capfd.readouterr().out)) == 7


@pytest.mark.parametrize("trial", [trials.only_the_fade_needs_less, trials.is_killed_at_8x8])
def test_both_phases_of_a_stage_get_the_batch_that_fits_in_both(config, capfd, trial):
    with pytest.raises(UserError, match="8:8; or, to train the same, --microbatches=4$"):
        dry_run(config, trial)
    rows = rows_of(capfd.readouterr().out)
    assert [row[2] for row in rows if row[0] == "8x8"] == ["32", "8", "32", "8"]


def test_a_crash_where_memory_is_short_is_for_want_of_it(config, capfd, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "1000")
    with pytest.raises(UserError, match="--batch_size_by_resolution=4:64,8:8;"):
        dry_run(config, trials.crashes_at_8x8)
    assert "8x8 fade, batch 32: too large, ended by SIGABRT" in capfd.readouterr().out


def test_a_crash_where_there_is_memory_is_a_fault(config, capfd):
    with pytest.raises(RuntimeError, match="ended with code -6"):
        dry_run(config, trials.crashes_at_8x8)


def test_where_no_batch_fits_that_is_said_after_the_table(config, capfd):
    with pytest.raises(UserError, match="8x8 does not fit in memory with any batch"):
        dry_run(config, trials.nothing_fits_at_8x8)
    out = capfd.readouterr().out
    assert "8x8 fade, batch 1: too large" in out
    assert rows_of(out)[-1] == ["total", "100", "-", "64", "-"]


def test_a_mistake_is_handed_on(config):
    with pytest.raises(UserError, match="--logical_cpus is wrong"):
        dry_run(config, trials.is_a_mistake)


def test_a_fault_keeps_its_traceback(config, capfd):
    with pytest.raises(RuntimeError, match="ended with code 1"):
        dry_run(config, trials.is_a_fault)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_data_are_required(config):
    with pytest.raises(UserError, match="--data_dir is required"):
        dry_run(dataclasses.replace(config, data=DataConfig()), trials.everything_fits)
