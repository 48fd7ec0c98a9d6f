"""The whole command on a transparent rectangle, and on 16 bits."""

import json

import numpy as np
import pytest
from PIL import Image

from pgan_tf.cli import evaluate
from pgan_tf.metrics import train_digit_classifier
from tests.helpers.drawn import write_drawn
from tests.helpers.generators import save_tiny_generator
from tests.helpers.small_inception import SmallInception, archive
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow

ALL = "swd,ms_ssim,fid,is,kid,precision_recall,density_coverage,modes,neighbors"


def test_every_metric_of_a_transparent_rectangle(tmp_path, capsys):
    data = write_drawn(tmp_path / "data")
    options = {"base": Base(height=4, width=6)}
    save_tiny_generator(
        tmp_path / "generator.keras",
        description={"resolution": 16, "channels": 4, "label_size": 0},
        resolution=16,
        channels=4,
        options=options,
    )
    graph, digits = tmp_path / "small.tgz", tmp_path / "digits.keras"
    graph.write_bytes(archive(SmallInception().serialized()))
    blank = np.zeros([1, 16, 24], np.uint8)
    train_digit_classifier(blank, np.zeros(1, int), epochs=0).save(digits)
    given = [f"--network={tmp_path / 'generator.keras'}", f"--data_dir={data.directory}"]
    given += [f"--inception={graph}", f"--digit_classifier={digits}", "--num_images=40"]
    assert evaluate.main([*given, f"--metrics={ALL}"]) == 0
    printed = capsys.readouterr().out
    assert ", at 24x16, against" in printed
    assert "; seed 0; " in printed
    assert "; images with alpha are put on white\n" in printed
    (path,) = tmp_path.glob("metrics-*.json")
    content = json.loads(path.read_text())
    assert {name.split("/")[0] for name in content["metrics"]} == set(ALL.split(","))
    assert content["metrics"].keys() > {"swd/24x16", "swd/average"}
    assert all(np.isfinite(value) for value in content["metrics"].values())
    assert (content["resolution"], content["size"]) == (16, "24x16")
    assert content["alpha"] == "on white" and "bits" not in content
    with Image.open(next(tmp_path.glob("neighbors-*.png"))) as sheet:
        assert sheet.mode == "RGB"
    # Found again, with the features of reals.
    assert evaluate.main([*given, f"--metrics={ALL}"]) == 0
    assert json.loads(path.read_text())["metrics"] == content["metrics"]


def test_a_generator_of_16_bits_and_data_of_another_shape(tmp_path, capsys):
    deep = write_drawn(tmp_path / "deep", size="16x24", channels="gray", bits=16)
    save_tiny_generator(
        tmp_path / "generator.keras",
        resolution=16,
        channels=1,
        options={"base": Base(height=6, width=4), "bits": 16},
    )
    given = [f"--network={tmp_path / 'generator.keras'}", "--num_images=16"]
    assert evaluate.main([*given, f"--data_dir={deep.directory}"]) == 0
    assert "; seed 0; values of 16 bits are reduced to 8\n" in capsys.readouterr().out
    (path,) = tmp_path.glob("metrics-*.json")
    assert json.loads(path.read_text())["bits"] == "16, reduced to 8"
    wide = write_drawn(tmp_path / "wide", channels="gray")
    assert evaluate.main([*given, f"--data_dir={wide.directory}"]) == 2
    error = capsys.readouterr().err
    assert "generator.keras: draws 16x24, but" in error
    assert "wide has images of another shape, 24x16" in error
