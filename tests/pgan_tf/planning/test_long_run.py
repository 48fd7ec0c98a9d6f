import dataclasses
import json

import pytest

from pgan_tf.config import NetworkConfig, ScheduleConfig
from pgan_tf.planning.long_run import warn_of_long_run
from tests.helpers.tiny import tiny_config, write_pyramid
from tfrecords_tools.format import write_manifest


@pytest.fixture
def config(tmp_path):
    data = write_pyramid(tmp_path / "tiny", resolution=64, channels=3, count=2)
    config = tiny_config(data, tmp_path / "run")
    schedule = ScheduleConfig()  # the paper's
    return dataclasses.replace(config, network=NetworkConfig(), schedule=schedule)


def put_gpus(root, model, count):
    for number in range(count):
        file = root / "proc/driver/nvidia/gpus" / str(number) / "information"
        file.parent.mkdir(parents=True)
        file.write_text(f"Model: \t {model}\n")


def test_the_papers_run_on_cpus_is_warned_of(config, tmp_path, caplog):
    warn_of_long_run(config, root=tmp_path)
    assert "days on the" in caplog.text and "CPU cores of this machine" in caplog.text
    assert "--plan --plan_device=cpu shows where" in caplog.text
    assert "configs/demo.flags" in caplog.text


@pytest.mark.parametrize("model", ["NVIDIA H200", "Tesla V100-SXM2"])
def test_on_a_gpu_that_takes_days_nothing_is_said(config, tmp_path, caplog, model):
    put_gpus(tmp_path, model, 1)
    warn_of_long_run(config, root=tmp_path)
    assert caplog.text == ""


def test_a_month_is_warned_of_on_gpus_too_and_more_gpus_take_less(config, tmp_path, caplog):
    schedule = dataclasses.replace(config.schedule, total_kimg=100_000, batch_size=64)
    config = dataclasses.replace(config, schedule=schedule)
    put_gpus(tmp_path / "one", "Tesla V100", 1)
    put_gpus(tmp_path / "eight", "Tesla V100", 8)
    warn_of_long_run(config, root=tmp_path / "eight")
    assert caplog.text == ""
    warn_of_long_run(config, root=tmp_path / "one")
    assert "days on 1 Tesla V100; --plan --plan_replicas=1 shows where" in caplog.text


def test_a_run_that_has_begun_is_judged_by_its_own_speed(config, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    tick = {"images_seen": 14_000_000, "progress/batch_size": 16, "speed/seconds_per_kimg": 10}
    (tmp_path / "run" / "metrics.jsonl").write_text(json.dumps(tick) + "\n")
    warn_of_long_run(config, root=tmp_path)
    assert caplog.text == ""


@pytest.mark.parametrize("manifest", [True, False])
def test_data_behind_a_url_are_known_by_their_manifest(config, tmp_path, caplog, manifest):
    if manifest:
        sizes = {"count": 2, "resolution": 64, "channels": 3}
        write_manifest(tmp_path / "tiny", sizes)
    data = dataclasses.replace(config.data, data_dir=f"file://{tmp_path}/tiny")
    warn_of_long_run(dataclasses.replace(config, data=data), root=tmp_path)
    assert ("days on the" in caplog.text) == manifest


def test_a_short_run_is_not_warned_of(config, tmp_path, caplog):
    short = dataclasses.replace(config, schedule=ScheduleConfig(total_kimg=1))
    warn_of_long_run(short, root=tmp_path)
    assert caplog.text == ""
