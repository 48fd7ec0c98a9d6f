"""The Python blocks of the pages, run for networks with and without labels."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pgan_tf.exporting import export_generator
from tests.helpers.generators import save_tiny_generator

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page):
    found = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
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
