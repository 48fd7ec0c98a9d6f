"""Whole commands: train with held-out images, then compare fakes with training images."""

import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pgan_tf.cli import evaluate, train
from tests.helpers.tiny import write_pyramid

pytestmark = pytest.mark.slow

FLAGS = [
    *("--fmap_base=32", "--fmap_max=8", "--start_resolution=8", "--stabilize_kimg=0"),
    *("--fade_kimg=0", "--batch_size=8", "--total_kimg=0.016", "--mirror_augment"),
]
VALUES = {
    f"neighbors/{space}/{name}"
    for space in ("pixels", "outlines")
    for name in ("ratio", "below_1_percent", "below_all")
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("neighbors")
    labels = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
    data = write_pyramid(directory / "data", resolution=8, channels=1, count=40, labels=labels)
    given = [f"--data_dir={data}", f"--run_dir={directory / 'run'}", "--validation_images=10"]
    assert train.main([*given, *FLAGS]) == 0
    return directory / "run"


def test_fakes_are_compared_with_training_images_and_a_sheet_is_written(run, capsys):
    arguments = [f"--network={run}", "--metrics=neighbors", "--num_images=12"]
    assert evaluate.main(arguments) == 0
    printed = capsys.readouterr().out
    content = json.loads((run / "metrics-000000.016.json").read_text())
    assert set(content["metrics"]) == VALUES
    assert content["floor"] == {}
    assert content["num_images"] == {"neighbors": 12}
    assert content["real_num_images"] == {"neighbors": 30}
    assert content["floor_num_images"] == {"neighbors": 10}
    assert content["extractors"] == {"neighbors": "outlines 1, 10 held out"}
    for name in VALUES:
        assert f"\n{name} " in printed
    sheet = run / "neighbors-000000.016.png"
    assert str(sheet) in printed
    with Image.open(sheet) as image:
        assert image.width > 1000
    tags = EventAccumulator(str(run)).Reload().Tags()["tensors"]
    assert {f"metrics/{name}" for name in VALUES} <= set(tags)
    # Found again, unless the sheet is gone.
    written = sheet.stat().st_mtime_ns
    assert evaluate.main(arguments) == 0
    assert sheet.stat().st_mtime_ns == written
    sheet.unlink()
    assert evaluate.main(arguments) == 0
    assert sheet.exists()


def test_own_features_take_the_place_of_outlines(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text("def extract(images):\n    return images.mean((1, 2))\n")
    monkeypatch.chdir(tmp_path)
    arguments = [f"--network={run}", "--metrics=neighbors", f"--output={tmp_path / 'out'}"]
    assert evaluate.main([*arguments, "--num_images=5", "--features=mine.py:extract"]) == 0
    assert "neighbors/features/ratio" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "metrics-000000.016.json",
        "neighbors-000000.016.png",
    ]


def test_a_generator_outside_of_a_run_has_no_held_out_images(run, tmp_path, capsys):
    copied = tmp_path / "mine.keras"
    copied.write_bytes(next((run / "networks").glob("*.keras")).read_bytes())
    arguments = [f"--network={copied}", f"--data_dir={run.parent / 'data'}", "--num_images=5"]
    assert evaluate.main([*arguments, "--metrics=neighbors"]) == 0
    content = json.loads((tmp_path / "metrics-mine.json").read_text())
    assert content["real_num_images"] == {"neighbors": 40}
    assert content["extractors"] == {"neighbors": "outlines 1, 0 held out"}


def test_training_computes_no_neighbors(run, capsys):
    assert train.main([f"--run_dir={run}", "--eval_metrics=neighbors", "--total_kimg=1"]) == 2
    assert "eval_metrics must be one of swd" in capsys.readouterr().err
