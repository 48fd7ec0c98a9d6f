import pytest

from pgan_tf.runs.tensorboard_steps import images_per_step


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
def test_the_unit_of_steps_is_read_off_what_was_reported(tmp_path, text, unit):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(text)
    assert images_per_step(metrics) == unit


def test_without_reports_there_is_no_unit_yet(tmp_path):
    assert images_per_step(tmp_path / "metrics.jsonl") is None
