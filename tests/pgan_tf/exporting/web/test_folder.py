"""The folder of --format=web, without a browser; test_web_page.py opens it in one."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from pgan_tf.cli import export as command
from pgan_tf.config import NetworkConfig
from pgan_tf.exporting import export_generator, onnx_file
from pgan_tf.exporting.web import memory, runtime
from pgan_tf.generating.directions import find_directions
from pgan_tf.networks.generator import Generator
from pgan_tf.networks.layer_table import generator_layers, layers_at
from pgan_tf.runs.saved_generator import as_keras_model
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow
FILES = {
    "ort.webgpu.bundle.min.mjs": "loads ort-wasm-simd-threaded.asyncify.wasm",
    "ort-wasm-simd-threaded.asyncify.wasm": "asyncify",
    "ort.wasm.bundle.min.mjs": "loads ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.wasm": "wasm",
}


@pytest.fixture
def package(tmp_path):
    """Like the npm package, unpacked, with files that are not needed."""
    directory = tmp_path / "package"
    (directory / "dist").mkdir(parents=True)
    for name, content in {**FILES, "ort.min.js": "", "ort.wasm.min.mjs.map": ""}.items():
        (directory / "dist" / name).write_text(content)
    return directory


def export(directory, **options):
    return export_generator(directory / "g.keras", directory / "page", file_format="web", **options)


def values(folder):
    return json.loads((folder / "generator.json").read_text())


def test_the_folder_is_complete_and_says_what_the_page_needs(tmp_path, package):
    options = {"base": Base(height=5, width=9)}
    save_tiny_generator(
        tmp_path / "g.keras", channels=2, label_size=3, options=options, description={"bits": 8}
    )
    folder = export(tmp_path, runtime=str(package)).path
    names = {path.name for path in folder.iterdir()}
    assert {"index.html", "main.js", "style.css", "generator.onnx", "runtime"} <= names
    copied = {path.name: path.read_text() for path in (folder / "runtime").iterdir()}
    assert "Copyright (c) Microsoft Corporation" in copied.pop("LICENSE")
    assert copied == {name.replace(".mjs", ".js"): content for name, content in FILES.items()}
    said = values(folder)
    assert (said["width"], said["height"], said["channels"], said["bits"]) == (18, 10, 2, 8)
    assert said["classes"] == ["0", "1", "2"] and said["labels"] is None
    assert said["sizes"] == {"latents": LATENT_SIZE, "labels": 3, "truncation": 1}
    for address in said["runtime"].values():
        assert (folder / address).is_file()


def test_directions_are_those_of_the_network(tmp_path):
    model = save_tiny_generator(tmp_path / "g.keras", label_size=3)
    folder = export(tmp_path).path
    directions = np.array(values(folder)["directions"])
    np.testing.assert_allclose(directions, find_directions(model, LATENT_SIZE), atol=1e-6)


def test_without_a_copy_the_runtime_is_of_one_version_of_a_cdn(tmp_path):
    save_tiny_generator(tmp_path / "g.keras")
    folder = export(tmp_path).path
    for address in values(folder)["runtime"].values():
        assert address.startswith("https://") and f"@{runtime.VERSION}/dist/ort." in address
    assert not (folder / "runtime").exists()


@pytest.mark.parametrize(
    "label_rows", [[[0.5, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, 0.0]]], ids=["rows", "odd"]
)
def test_labels_that_are_not_classes(tmp_path, label_rows):
    save_tiny_generator(tmp_path / "g.keras", label_size=3, description={"label_rows": label_rows})
    said = values(export(tmp_path).path)
    if len(label_rows) == 2:
        assert (said["labels"], said["classes"]) == (label_rows, ["label 0", "label 1"])
    else:
        assert (said["labels"], said["classes"]) == (None, ["0", "1", "2"])


def test_16_bits_are_saved_with_16_bits(tmp_path):
    save_tiny_generator(tmp_path / "g.keras", channels=1, description={"bits": 16})
    assert values(export(tmp_path).path)["bits"] == 16


def test_an_own_page_is_replaced_and_a_strangers_is_not(tmp_path, package):
    save_tiny_generator(tmp_path / "g.keras")
    folder = export(tmp_path, runtime=str(package)).path
    with pytest.raises(UserError, match="exists already; --overwrite replaces it"):
        export(tmp_path)
    export(tmp_path, overwrite=True)
    assert not (folder / "runtime").exists()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not part of a web page.*notes.txt"):
        export(tmp_path, overwrite=True)


@pytest.mark.parametrize(
    "place", ["package", "package/dist", ".", "node_modules"], ids=["", "dist", "above", "npm"]
)
def test_the_runtime_is_found_where_npm_puts_it(tmp_path, package, place):
    if place == "node_modules":
        shutil.move(package, tmp_path / "node_modules" / "onnxruntime-web")
        place = "."
    dist = runtime.check_runtime(tmp_path / place)
    assert sorted(path.name for path in dist.iterdir())[0] == "ort-wasm-simd-threaded.asyncify.wasm"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_of_the_runtime_is_named(tmp_path, package, name, capfd):
    (package / "dist" / name).unlink()
    save_tiny_generator(tmp_path / "g.keras")
    paths = [f"--network={tmp_path}/g.keras", f"--output={tmp_path}/page"]
    assert command.main([*paths, "--format=web", f"--runtime={package}"]) == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"there is no {package}/dist/{name}" in said
    assert f"npm pack onnxruntime-web@{runtime.VERSION}" in said
    assert not (tmp_path / "page").exists()


def test_a_runtime_of_another_version_or_none_is_refused(tmp_path, package):
    with pytest.raises(UserError, match=r"there is no .*nowhere/dist/ort\.webgpu"):
        runtime.check_runtime(tmp_path / "nowhere")
    (package / "dist" / "ort.webgpu.bundle.min.mjs").write_text("loads ort-wasm-simd.jsep.wasm")
    with pytest.raises(UserError, match=r"must load ort-wasm-simd-threaded\.asyncify\.wasm"):
        runtime.check_runtime(package)


def test_the_flag_is_for_this_format_alone(tmp_path, package):
    save_tiny_generator(tmp_path / "g.keras")
    with pytest.raises(UserError, match="--runtime is for --format=web. Received: --format=onnx"):
        export_generator(
            tmp_path / "g.keras", tmp_path / "x", file_format="onnx", runtime=str(package)
        )


CONFIG = NetworkConfig(resolution=64, fmap_base=512, fmap_max=32, label_size=2)


def test_weights_and_memory_are_those_of_the_layer_table(monkeypatch):
    monkeypatch.setattr(onnx_file, "fastest_method", lambda: "box")  # of CPUs
    model = as_keras_model(Generator(CONFIG), resolution=64, alpha=None)
    layers = layers_at(generator_layers(CONFIG), 64, fading=False)
    assert onnx_file.weight_bytes(model) == 4 * sum(layer.num_weights for layer in layers)
    # The last upscaling layer: 32 features of 32x32 to 16 of 64x64, with 9 products for each of a
    # quarter of them.
    largest = 32 * 32**2 + (1 + 9 / 4) * 16 * 64**2
    weights = 2.77 * onnx_file.weight_bytes(model)
    assert memory.estimated_memory(model) == pytest.approx(weights + 4 * largest, abs=1)


def test_an_onnx_file_is_as_large_as_its_weights(tmp_path):
    model = as_keras_model(Generator(CONFIG), resolution=64, alpha=None)
    onnx_file.write_onnx(model, tmp_path / "g.onnx", {}, "float32")
    size = (tmp_path / "g.onnx").stat().st_size
    assert size == pytest.approx(onnx_file.weight_bytes(model), rel=0.1)


@pytest.mark.parametrize("file_format", ["onnx", "web"])
def test_a_file_of_more_than_two_gibibytes_is_refused_before_it_is_written(
    tmp_path, monkeypatch, file_format
):
    save_tiny_generator(tmp_path / "g.keras")
    monkeypatch.setattr(onnx_file, "weight_bytes", lambda model: 5 * 2**29)
    with pytest.raises(UserError, match="at most 2 GiB. Received: a generator of 2.5 GiB"):
        export_generator(tmp_path / "g.keras", tmp_path / "out", file_format=file_format)
    assert [path.name for path in tmp_path.iterdir()] == ["g.keras"]


def test_more_memory_than_webassembly_has_is_refused_and_much_is_said(
    tmp_path, monkeypatch, caplog
):
    save_tiny_generator(tmp_path / "g.keras")
    monkeypatch.setattr(memory, "weight_bytes", lambda model: int(1.6 * 2**30))
    with pytest.raises(UserError, match=r"about 4\.4 GiB of memory.*at most 4 GiB"):
        export(tmp_path)
    assert not (tmp_path / "page").exists()
    monkeypatch.setattr(memory, "weight_bytes", lambda model: 2**29)
    monkeypatch.setattr(memory.logging, "warning", lambda *said: warnings.append(said))
    warnings = []
    memory.check_memory(as_keras_model(Generator(CONFIG), resolution=64, alpha=None))
    assert len(warnings) == 1 and math.isclose(warnings[0][1], 1.385, abs_tol=0.01)


def test_the_guide_names_the_version_that_is_tested():
    guide = Path(__file__).parents[4] / "docs" / "guide" / "sharing.md"
    assert f"npm pack onnxruntime-web@{runtime.VERSION} && tar" in guide.read_text()


def test_lines_of_the_page_are_short():
    for path in (runtime.__file__, *Path(runtime.__file__).parent.glob("page/*")):
        assert max(map(len, Path(path).read_text().splitlines())) <= 100, path
