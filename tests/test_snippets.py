"""The Python blocks of the pages, run; those with networks, with and without labels."""

import dataclasses
import gzip
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import pgan_tf
from pgan_tf.exporting import export_generator
from tests.helpers.generators import save_tiny_generator
from tests.helpers.tiny import tiny_config, write_pyramid

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parent.parent / "docs"


BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def blocks(page):
    found = BLOCK.findall((DOCS / page).read_text())
    assert found, page
    return found


@pytest.fixture(params=[0, 3], ids=["unlabelled", "labelled"])
def network(request, tmp_path, monkeypatch):
    """Make a run `runs/photos` of one network below the current directory; return the network."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "runs" / "photos" / "networks" / "generator-000001.keras"
    return save_tiny_generator(file, label_size=request.param)


def run(code):
    names = {}
    exec(compile(code, "page", "exec"), names)
    return names


def test_a_generator_is_loaded_and_draws(network):
    names = run("".join(blocks("guide/getting-started.md")))
    assert names["images"].shape == (16, 8, 8, 3)


def test_a_generator_is_loaded_in_half_precision_and_plotted(network, monkeypatch):
    plotted = []
    monkeypatch.setattr("keras.utils.plot_model", lambda *arguments: plotted.append(arguments))
    names = run(blocks("reference/api.md")[0])
    assert plotted == [(names["generator"], "generator.png")]
    assert len(names["half"].inputs) == len(network.inputs)


def test_the_pages_run_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pyramid(tmp_path / "data" / "photos", resolution=8, channels=3)
    # The page's sections, and small networks and short phases in place of the paper's.
    monkeypatch.setattr(
        pgan_tf, "TrainConfig", lambda **sections: dataclasses.replace(tiny_config(), **sections)
    )
    result = run(blocks("reference/api.md")[1])["result"]
    assert (result.images_seen, result.interrupted_by) == (96, None)
    assert (tmp_path / "runs" / "photos" / "config.flags").exists()


def test_the_pages_features_are_extracted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_features.py").write_text(blocks("reference/metrics.md")[0])
    extract = pgan_tf.metrics.load_features("my_features.py:extract")
    images = np.full([2, 4, 4, 3], [1, 2, 3], np.uint8)
    np.testing.assert_array_equal(extract(images).features, [[1, 2, 3]] * 2)


def test_the_pages_classifier_is_trained_and_its_errors_are_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 128), ("t10k", 20)):
        for name, shape in (("images-idx3", [count, 28, 28]), ("labels-idx1", [count])):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            values = rng.integers(0, 10, shape).astype(np.uint8)
            content = gzip.compress(header + values.tobytes())
            (tmp_path / "mnist" / f"{part}-{name}-ubyte.gz").write_bytes(content)
    run(blocks("reference/metrics.md")[1])
    assert 0 <= float(re.search(r"errors: (\S+)", capsys.readouterr().out)[1]) <= 1


def test_the_pages_pyramid_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pyramid(tmp_path / "data" / "photos", resolution=64, channels=3, count=8)
    assert run(blocks("reference/pyramid-format.md")[0])["images"].shape == (3, 3, 64, 64)


def test_every_block_is_run_here():
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    counts = {
        str(page.relative_to(DOCS.parent)): len(BLOCK.findall(page.read_text())) for page in pages
    }
    assert {page: count for page, count in counts.items() if count} == {
        "docs/guide/exporting.md": 3,
        "docs/guide/getting-started.md": 1,
        "docs/reference/api.md": 2,
        "docs/reference/metrics.md": 2,
        "docs/reference/pyramid-format.md": 1,
    }


def test_every_export_draws_the_same(network, monkeypatch):
    for file_format, output in (
        ("saved_model", "exported"), ("onnx", "generator.onnx"), ("tflite", "generator.tflite")
    ):  # fmt: skip
        export_generator("runs/photos", output, file_format=file_format)
    # LiteRT, without its package, is TensorFlow's own interpreter.
    litert = types.ModuleType("ai_edge_litert.interpreter")
    litert.Interpreter = tf.lite.Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", litert)
    saved_model, onnx, tflite = blocks("guide/exporting.md")
    inputs = run(saved_model)["inputs"]
    expected = network([*inputs.values()] if len(inputs) > 1 else inputs["latents"])
    for code in (onnx, tflite):
        names = run(f"{saved_model}\n{code}")
        np.testing.assert_allclose(names["images"], expected, atol=1e-4)
