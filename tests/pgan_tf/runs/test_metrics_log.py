import json

import pytest

from pgan_tf.runs.metrics_log import MetricsLog, MetricsRow


@pytest.fixture
def log(tmp_path):
    return MetricsLog(tmp_path / "metrics.jsonl")


def test_rows_are_read_as_they_were_written(log):
    log.append(1008, 1, {"loss/generator": 1.5, "loss/discriminator": float("nan")})
    log.append(2000, 2, {"metrics/fid": float("inf")})
    assert log.rows() == [
        MetricsRow(1008, 1, {"loss/generator": 1.5, "loss/discriminator": None}),
        MetricsRow(2000, 2, {"metrics/fid": None}),
    ]
    first, _ = log.path.read_text().splitlines()
    assert json.loads(first, parse_constant=pytest.fail) == {
        "images_seen": 1008,
        "step": 1,
        "loss/generator": 1.5,
        "loss/discriminator": None,
    }


def test_without_a_file_there_are_no_rows(log):
    assert log.rows() == []
    log.cut_after(100)
    assert not log.path.exists()


def test_lines_that_are_no_rows_are_passed_over(log):
    log.path.write_bytes(
        b'3\n[]\n{"step": 4}\n{"images_seen": null}\n\xff\n{"images_seen": 8}\n{"i'
    )
    assert log.rows() == [MetricsRow(8, 8, {})]


def test_rows_past_a_checkpoint_and_broken_lines_are_dropped_and_others_kept(log, caplog):
    log.path.write_text(
        '{"images_seen":  8}\n{"images_seen": 24}\n{"images_se\n{"images_seen": 16}'
    )
    log.cut_after(16)
    assert log.path.read_text() == '{"images_seen":  8}\n{"images_seen": 16}\n'
    assert 'metrics.jsonl: dropped a broken line: {"images_se' in caplog.text
    assert [path.name for path in log.path.parent.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ('{"images_seen": 1008, "step": 1}\n', 1000),
        ('{"images_seen": 1008, "step": 1008}\n', 1),
        ('{"images_seen": 1008}\n', 1),
        ('{"images_seen": 1008, "step": 1}\n{"images_se', 1000),
        ("", None),
        ('3\n{"step": 4}\n', None),
    ],
)
def test_the_unit_of_steps_is_read_off_what_was_written(log, text, unit):
    log.path.write_text(text)
    assert log.images_per_step() == unit


def test_without_a_file_there_is_no_unit_yet(log):
    assert log.images_per_step() is None


def test_values_of_a_row_are_found_by_the_beginning_of_their_names(log):
    log.append(16, 16, {"loss/generator": 1.0})
    log.append(16, 16, {"metrics/fid": float("nan")})
    assert log.has_values("metrics/", 16)
    assert not log.has_values("metrics/", 32)
    assert not log.has_values("speed/", 16)
