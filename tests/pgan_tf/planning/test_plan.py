import dataclasses
import json

import pytest

from pgan_tf.config import (
    DataConfig,
    LossConfig,
    NetworkConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
)
from pgan_tf.config.phases import Schedule
from pgan_tf.networks.cost import TYPICAL_OVERHEAD, multiplications
from pgan_tf.planning.cards import Speed
from pgan_tf.planning.phase_table import readable_duration
from pgan_tf.planning.plan import estimate, plan
from pgan_tf.planning.so_far import read_so_far
from tests.helpers.tiny import tiny_config, write_pyramid
from tests.helpers.trials import rows_of
from tfrecords_tools.errors import UserError

CONFIG = TrainConfig(
    network=NetworkConfig(resolution=16, fmap_base=64, fmap_max=16),
    schedule=ScheduleConfig(
        stabilize_kimg=10,
        fade_kimg=20,
        total_kimg=100,
        batch_size=16,
        batch_size_by_resolution={4: 32},
        learning_rate_by_resolution={16: 0.002},
    ),
)
SCHEDULE = Schedule(CONFIG.schedule, 16)


def test_seconds_are_overhead_and_multiplications_of_a_replica():
    phase = SCHEDULE.phases[-1]
    row = estimate(SCHEDULE, CONFIG, replicas=2, speed=Speed(0.5))[-1]
    work = multiplications(CONFIG.network, 16, fading=False)
    seconds = TYPICAL_OVERHEAD + 2 * 9 * work * 8 / 0.5e12
    assert row.step_seconds == pytest.approx(seconds)
    assert row.seconds_per_kimg == pytest.approx(seconds / 16 * 1000)
    assert row.days == pytest.approx(row.seconds_per_kimg * 40 / 86400)
    rest = dataclasses.replace(row, images_seen=phase.start + 10_000)
    assert rest.kimg == 30 and rest.days == pytest.approx(row.days * 3 / 4)
    assert dataclasses.replace(row, images_seen=phase.end).days == 0


def test_the_plan_describes_ramps():
    schedule = dataclasses.replace(CONFIG.schedule, rampup_kimg=40, rampdown_kimg=10.5)
    text = plan(dataclasses.replace(CONFIG, schedule=schedule))
    assert "rises to the table's over the first 40 kimg, falls to 0 over the last 10.5\n" in text
    assert "learning rate: " not in plan(CONFIG)


def test_the_plan_describes_weights_by_stage():
    loss = LossConfig(loss="logistic", r1_gamma_by_resolution={4: 0.5, 8: 2.0})
    text = plan(dataclasses.replace(CONFIG, loss=loss))
    assert "\n--r1_gamma: 0.5 at 4x4, 2 at 8x8, 10 at 16x16\n" in text
    assert "--r1_gamma" not in plan(CONFIG)


def test_the_papers_run_takes_about_two_weeks_on_a_v100():
    # The original reports two weeks for these batches on one such GPU.
    schedule = ScheduleConfig(
        total_kimg=12000,
        batch_size=4,
        batch_size_by_resolution={4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8},
    )
    config = TrainConfig(network=NetworkConfig(resolution=1024), schedule=schedule)
    text = plan(config, device="v100")
    assert 13 < float(rows_of(text)[-1][-1]) < 15


def test_memory_is_each_devices_unless_they_share_one():
    logical = dataclasses.replace(CONFIG, run=RunConfig(logical_cpus=2))
    alone = estimate(SCHEDULE, CONFIG, replicas=2, speed=Speed(1))
    shared = estimate(SCHEDULE, logical, replicas=2, speed=Speed(1))
    assert [row.peak for row in shared] == [2 * row.peak for row in alone]


def write_metrics(path, *ticks):
    keys = ("images_seen", "progress/batch_size", "speed/seconds_per_kimg")
    path.write_text(
        "".join(json.dumps(dict(zip(keys, tick, strict=True))) + "\n" for tick in ticks)
    )


def test_a_runs_own_speed_is_read(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    # The tick at 10,016 ends a batch that began in the first phase.
    write_metrics(metrics, (5000, 32, 9.0), (10_016, 32, 8.0), (20_000, 16, 25.0))
    with metrics.open("a") as file:
        # A phase's first step has no speed; and the line of a killed process.
        file.write(
            '{"images_seen": 20032, "progress/batch_size": 16}\n{"images_seen": 21000, "prog'
        )
    so_far = read_so_far(tmp_path, SCHEDULE)
    assert so_far.images_seen == 20_032
    assert so_far.measured == [(SCHEDULE.phases[0], 0.008), (SCHEDULE.phases[1], 0.025)]


def test_a_run_that_has_not_begun_has_no_speed(tmp_path):
    for run_dir in ("", str(tmp_path)):
        so_far = read_so_far(run_dir, SCHEDULE)
        assert (so_far.images_seen, list(so_far.measured)) == (0, [])


def test_the_plan_of_a_run_that_exists_says_how_far_it_is(tmp_path):
    data = write_pyramid(tmp_path / "tiny", resolution=8, channels=3)
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    write_metrics(run_dir / "metrics.jsonl", (32, 8, 10.0), (48, 8, 20.0))
    text = plan(tiny_config(data, run_dir), tflops=1e-9)
    # 16 of the fade's 32 images, and the whole of what follows.
    (fade, stable, total) = rows_of(text)
    assert fade[5:7] == ["0.016", "20"] and fade[9] == "measured"
    assert len(stable) == 9 and stable[5] == "0.032" and 15 < float(stable[6]) < 25
    assert total[1] == "0.048"
    seconds = 0.016 * 20 + 0.032 * float(stable[6])
    assert (
        f"{run_dir}: 0.048 of 0.096 kimg are done; 0.048 kimg in 2 phases remain: "
        f"{readable_duration(seconds)}\n" in text
    )
    write_metrics(run_dir / "metrics.jsonl", (96, 8, 20.0))
    assert plan(tiny_config(data, run_dir)) == f"{run_dir}: all 0.096 kimg are done"


def test_data_tell_channels_labels_and_resolution(tmp_path):
    data = write_pyramid(tmp_path / "tiny", resolution=8, channels=1)
    text = plan(TrainConfig(data=DataConfig(data_dir=str(data)), run=RunConfig(logical_cpus=2)))
    assert "to 8x8, 1 channel(s), no labels, float32, on 2 replica(s)" in text
    assert "of all replicas together" in text


@pytest.mark.parametrize(
    ("config", "replicas", "message"),
    [
        ({}, None, "--plan needs --resolution or --data_dir"),
        ({"network": NetworkConfig(resolution=8)}, 3, "must be a multiple of 12, for 3 replicas"),
        ({"data": DataConfig(data_dir="/nothing/here")}, None, "/nothing/here"),
    ],
)
def test_plans_that_are_refused(config, replicas, message):
    with pytest.raises(UserError, match=message):
        plan(TrainConfig(**config), replicas=replicas)


def test_a_run_that_ends_before_its_last_stage_is_said():
    network = NetworkConfig(resolution=64)
    text = plan(TrainConfig(network=network, schedule=ScheduleConfig(total_kimg=700)))
    assert "--total_kimg=700 ends at 8x8" in text


def test_the_total_is_said_for_people_and_is_that_of_the_table():
    text = plan(CONFIG, tflops=1e-4)
    days = float(rows_of(text)[-1][-1])
    assert f"in all: {readable_duration(days * 86400)}\n" in text


def test_cores_of_this_machine_are_slower_than_gpus_and_shared_by_replicas(monkeypatch):
    monkeypatch.setattr("pgan_tf.planning.plan.core_count", lambda: 2)
    network = NetworkConfig(resolution=1024)
    config = TrainConfig(network=network, schedule=ScheduleConfig(batch_size=4))
    text = plan(config, device="cpu")
    # Measured on two cores: 49.0 s a step of 4 images (docs/guide/planning.md).
    assert float(rows_of(text)[-2][6]) == pytest.approx(49.0 / 4 * 1000, rel=0.2)
    shared = dataclasses.replace(config, run=RunConfig(logical_cpus=2), schedule=ScheduleConfig())
    alone = dataclasses.replace(config, schedule=ScheduleConfig())
    totals = [float(rows_of(plan(c, device="cpu"))[-1][-1]) for c in (shared, alone)]
    assert totals[0] == pytest.approx(totals[1], rel=0.01)
