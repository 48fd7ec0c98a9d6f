import dataclasses
import fcntl
import json
import os
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pgan_tf.evaluation.results import (
    Result,
    format_figure,
    read_figures,
    result_path,
    table,
    write_tensorboard,
)

RESULT = Result(
    network=Path("runs/x/networks/generator-000150.keras"),
    digest="ab12",
    label="000150",
    images_seen=150000,
    figures={"swd/16": 12.3456, "ms_ssim": 0.25},
    settings={"seed": 0, "num_images": {"swd": 10, "ms_ssim": 10}},
    floor={"swd/16": 1.5, "ms_ssim": 0.26},
)
EARLIER = dataclasses.replace(RESULT, label="000020", images_seen=20000)


def test_json_holds_the_figures_and_all_they_depend_on(tmp_path):
    path = RESULT.write_json(tmp_path / "new")
    assert path == tmp_path / "new" / "metrics-000150.json"
    content = json.loads(path.read_text())
    assert content["metrics"] == RESULT.figures and content["floor"] == RESULT.floor
    assert (content["kimg"], content["seed"]) == (150, 0)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_figures_are_read_back_under_the_same_settings_of_the_same_network_alone(tmp_path, caplog):
    path = result_path(tmp_path, RESULT.label)
    assert read_figures(path, digest="ab12", settings=RESULT.settings) is None
    RESULT.write_json(tmp_path)
    found = read_figures(path, digest="ab12", settings=RESULT.settings)
    assert found == (RESULT.figures, RESULT.floor)
    assert read_figures(path, digest="cd34", settings=RESULT.settings) is None
    other = {**RESULT.settings, "seed": 1}
    assert read_figures(path, digest="ab12", settings=other) is None
    path.write_text("{")
    assert read_figures(path, digest="ab12", settings=RESULT.settings) is None
    assert "evaluating anew" in caplog.text


def test_a_figure_that_is_no_number_is_null(tmp_path):
    path = dataclasses.replace(RESULT, figures={"fid": float("nan")}).write_json(tmp_path)
    assert json.loads(path.read_text())["metrics"] == {"fid": None}


def test_one_generator_has_a_row_a_figure_and_the_floor_beside_it():
    assert table([RESULT]).splitlines() == [
        "         000150  floor",
        "swd/16    12.35    1.5",
        "ms_ssim    0.25   0.26",
    ]


def test_several_generators_have_a_row_each_and_the_floor_below():
    assert table([EARLIER, RESULT]).splitlines() == [
        "        swd/16  ms_ssim",
        "000020   12.35     0.25",
        "000150   12.35     0.25",
        "floor      1.5     0.26",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(123.456, "123.46"), (1.23456, "1.235"), (0.000123456, "0.0001235")]
)
def test_figures_are_rounded_for_people(value, text):
    assert format_figure(value) == text


def scalars(directory):
    events = EventAccumulator(str(directory)).Reload()
    tensors = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}
    return {tag: [event.step for event in found] for tag, found in tensors.items()}


def test_tensorboard_gets_scalars_over_images_seen(tmp_path):
    write_tensorboard(tmp_path, [EARLIER, RESULT])
    found = scalars(tmp_path)
    assert found["metrics/swd/16"] == [20000, 150000]
    assert found["metrics/floor/ms_ssim"] == [20000, 150000]


def test_tensorboard_gets_scalars_over_kimg_where_the_run_counts_kimg(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"images_seen": 20000, "step": 20}\n')
    write_tensorboard(tmp_path, [EARLIER, RESULT])
    assert scalars(tmp_path)["metrics/swd/16"] == [20, 150]


def test_curves_of_a_run_in_training_are_kept_apart_from_its_own(tmp_path):
    opened = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    write_tensorboard(tmp_path, [RESULT])
    os.close(opened)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]
    assert scalars(tmp_path / "metrics")["metrics/ms_ssim"] == [150000]
