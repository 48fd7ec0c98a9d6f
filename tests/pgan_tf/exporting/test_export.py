import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from pgan_tf.cli import export as command
from pgan_tf.exporting import FORMATS, export_generator
from pgan_tf.generating.truncation import with_truncation
from pgan_tf.runs.grids import to_uint8
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import Base

pytestmark = pytest.mark.slow


@pytest.fixture
def latents(rng):
    return rng.standard_normal([5, LATENT_SIZE]).astype(np.float32)


LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]


def export(directory, name, file_format, **options):
    """Exports `g.keras` to a file or directory beside it."""
    return export_generator(
        directory / "g.keras", directory / name, file_format=file_format, **options
    )


def test_the_command_knows_every_format(capsys):
    assert command.main(["--format=gif"]) == 2
    assert "|".join(FORMATS) in capsys.readouterr().err


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_export_draws_what_keras_draws(tmp_path, latents, file_format):
    model = save_tiny_generator(tmp_path / "g.keras", resolution=16)
    exported = export(tmp_path, "out", file_format)
    assert exported.path == tmp_path / "out" / FORMATS[file_format].file_name
    assert exported.difference < 1e-4
    images = FORMATS[file_format].read(exported.path)(latents, None)
    np.testing.assert_allclose(images, model(latents), atol=1e-4)


@pytest.mark.parametrize("file_format", FORMATS)
def test_labels_fades_and_grayscale_are_exported(tmp_path, latents, file_format):
    model = save_tiny_generator(
        tmp_path / "g.keras", resolution=16, label_size=3, channels=1, alpha=0.3
    )
    exported = export(tmp_path, "out", file_format)
    images = FORMATS[file_format].read(exported.path)(latents, LABELS)
    np.testing.assert_allclose(images, model([latents, LABELS]), atol=1e-4)


@pytest.mark.parametrize(
    ("file_format", "channels"), [("keras", 4), ("saved_model", 2), ("onnx", 4), ("tflite", 2)]
)
def test_rectangles_with_alpha_are_exported(tmp_path, latents, file_format, channels):
    base = Base(height=5, width=9)
    model = save_tiny_generator(
        tmp_path / "g.keras", channels=channels, alpha=0.3, options={"base": base}
    )
    exported = export(tmp_path, "out", file_format)
    images = FORMATS[file_format].read(exported.path)(latents, None)
    assert images.shape == (5, 10, 18, channels)
    np.testing.assert_allclose(images, model(latents), atol=1e-4)


# Together all that differ from the plain generator; each alone is compared with NumPy elsewhere.
OPTIONS = [
    {
        "generator_norm": "batch",
        "generator_activation": "relu",
        "output_activation": "tanh",
        "normalize_latents": False,
    },
    {"generator_norm": "none", "generator_leak": 0.3, "equalized_learning_rate": False},
    {"pixel_norm_epsilon": 0.1},
]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("options", OPTIONS, ids=["as row a", "without norms", "epsilon"])
def test_generators_with_other_options_are_exported(tmp_path, latents, file_format, options):
    model = save_tiny_generator(tmp_path / "g.keras", alpha=0.3, options=options)
    plain = save_tiny_generator(tmp_path / "plain.keras", alpha=0.3)
    assert np.abs(model(latents) - plain(latents)).max() > 0.01
    exported = export(tmp_path, "out", file_format)
    images = FORMATS[file_format].read(exported.path)(latents, None)
    np.testing.assert_allclose(images, model(latents), atol=1e-4)


@pytest.mark.parametrize("file_format", ["saved_model", "onnx", "tflite"])
def test_bytes_are_rounded_as_in_files(tmp_path, latents, file_format):
    model = save_tiny_generator(tmp_path / "g.keras")
    exported = export(tmp_path, "out", file_format, output_type="uint8")
    images = FORMATS[file_format].read(exported.path)(latents, None)
    assert images.dtype == np.uint8
    assert np.abs(images.astype(int) - to_uint8(model(latents))).max() <= 1
    assert (images == to_uint8(model(latents))).mean() > 0.99


def test_a_network_of_mixed_precision_is_exported_in_float32(tmp_path, latents):
    save_tiny_generator(tmp_path / "g.keras", dtype="mixed_bfloat16")
    model = save_tiny_generator(tmp_path / "full.keras")
    exported = export(tmp_path, "g.onnx", "onnx")
    images = FORMATS["onnx"].read(exported.path)(latents, None)
    np.testing.assert_allclose(images, model(latents), atol=1e-4)


def test_half_precision_makes_a_tflite_file_smaller_and_hardly_different(tmp_path, rng):
    # Long latents, so that most of the file is weights.
    model = save_tiny_generator(tmp_path / "g.keras", resolution=16, options={"latent_size": 64})
    latents = rng.standard_normal([5, 64]).astype(np.float32)
    full = export(tmp_path, "full.tflite", "tflite")
    half = export_generator(
        tmp_path / "g.keras",
        tmp_path / "half.tflite",
        file_format="tflite",
        tflite_precision="float16",
    )
    assert half.bytes < 0.8 * full.bytes
    assert 1e-5 < half.difference < 0.05
    images = FORMATS["tflite"].read(half.path)(latents, None)
    np.testing.assert_allclose(images, model(latents), atol=0.05)


WITHOUT_THIS_PROJECT = """
import sys
sys.modules["pgan_tf"] = None  # importing it fails
import keras, numpy as np, tensorflow as tf
keras_file, saved_model, latents, images = sys.argv[1:]
latents, images = np.load(latents), np.load(images)
model = keras.saving.load_model(keras_file)
np.testing.assert_allclose(model(latents), images, atol=1e-4)
signatures = tf.saved_model.load(saved_model).signatures
got = signatures["serving_default"](latents=tf.constant(latents))["images"]
np.testing.assert_allclose(got, images, atol=1e-4)
got = signatures["truncated"](latents=tf.constant(latents), truncation=tf.constant(0.0))["images"]
assert np.ptp(got, axis=0).max() < 1e-5
"""


def test_keras_files_and_saved_models_need_nothing_of_this_project(tmp_path, latents):
    model = save_tiny_generator(tmp_path / "g.keras")
    keras_file = export(tmp_path, "out.keras", "keras").path
    saved = export(tmp_path, "saved", "saved_model").path
    np.save(tmp_path / "latents.npy", latents)
    np.save(tmp_path / "images.npy", model(latents))
    arguments = [keras_file, saved, tmp_path / "latents.npy", tmp_path / "images.npy"]
    subprocess.run(
        [sys.executable, "-c", WITHOUT_THIS_PROJECT, *map(str, arguments)], check=True, timeout=120
    )


def test_an_exported_keras_file_is_a_generator_like_any_other(tmp_path):
    save_tiny_generator(tmp_path / "g.keras", description={"label_names": ["cat"]})
    export(tmp_path, "first.keras", "keras")
    again = export_generator(
        tmp_path / "first.keras", tmp_path / "again.keras", file_format="keras"
    )
    assert again.difference < 1e-6
    assert export_generator(again.path, tmp_path / "s", file_format="saved_model").difference < 1e-6


def test_the_description_is_exported_too(tmp_path):
    import onnx

    save_tiny_generator(tmp_path / "g.keras", description={"label_names": ["cat"]})
    saved = export(tmp_path, "s", "saved_model").path
    assert json.loads((saved / "pgan_tf.json").read_text()) == {"label_names": ["cat"]}
    path = export(tmp_path, "o", "onnx").path
    (prop,) = onnx.load(path).metadata_props
    assert (prop.key, json.loads(prop.value)) == ("pgan_tf", {"label_names": ["cat"]})


def test_an_export_of_other_images_is_not_kept(tmp_path, monkeypatch):
    save_tiny_generator(tmp_path / "g.keras")
    honest = FORMATS["onnx"].read

    def dishonest(path):
        return lambda latents, labels: honest(path)(latents, labels) + 0.001

    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], read=dishonest))
    with pytest.raises(UserError, match="differs from Keras by 0.001.* it was not kept"):
        export(tmp_path, "out.onnx", "onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["g.keras"]


@pytest.mark.parametrize("wrong", [lambda t: 0.0 * t + 1.0, lambda t: 0.9 * t])
@pytest.mark.parametrize("label_size", [0, 3])
def test_a_saved_model_that_truncates_differently_is_not_kept(
    tmp_path, monkeypatch, label_size, wrong
):
    save_tiny_generator(tmp_path / "g.keras", label_size=label_size)

    def dishonest(model):
        honest = with_truncation(model)
        *inputs, truncation = honest.inputs
        return keras.Model(honest.inputs, honest([*inputs, wrong(truncation)]))

    monkeypatch.setattr("pgan_tf.exporting.saved_model.with_truncation", dishonest)
    with pytest.raises(UserError, match="differs from Keras by .* it was not kept"):
        export(tmp_path, "out", "saved_model")
    assert [p.name for p in tmp_path.iterdir()] == ["g.keras"]


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = save_tiny_generator(tmp_path / "g.keras")
    model.get_layer("to_rgb_8x8").bias.assign([np.nan] * 3)
    model.save(tmp_path / "nan.keras")
    with pytest.raises(UserError, match="must be finite. Received: NaN or infinity in to_rgb_8x8"):
        export_generator(tmp_path / "nan.keras", tmp_path / "out.keras", file_format="keras")
    assert not (tmp_path / "out.keras").exists()


def test_not_a_number_is_no_match(tmp_path, monkeypatch):
    save_tiny_generator(tmp_path / "g.keras")
    read = FORMATS["keras"].read

    def read_broken(path):
        generate = read(path)
        return lambda latents, labels: generate(latents, labels) * np.float32(np.nan)

    monkeypatch.setitem(FORMATS, "keras", replace(FORMATS["keras"], read=read_broken))
    with pytest.raises(UserError, match="differs from Keras by nan"):
        export_generator(tmp_path / "g.keras", tmp_path / "out.keras", file_format="keras")
    assert not (tmp_path / "out.keras").exists()


def test_an_export_that_exists_is_replaced_only_when_asked(tmp_path, capsys):
    save_tiny_generator(tmp_path / "g.keras")
    flags = [f"--network={tmp_path / 'g.keras'}"]
    for file_format, name in (("saved_model", "dir"), ("tflite", "file.tflite")):
        call = [*flags, f"--format={file_format}", f"--output={tmp_path / name}"]
        assert command.main(call) == 0
        assert command.main(call) == 2
        assert "exists already; --overwrite replaces it" in capsys.readouterr().err
        assert command.main([*call, "--overwrite"]) == 0
    for other in ("dir/thesis.tex", "dir/variables/thesis.tex", "dir/assets/thesis.tex"):
        (tmp_path / other).touch()
        call = [*flags, "--format=saved_model", f"--output={tmp_path / 'dir'}", "--overwrite"]
        assert command.main(call) == 2
        assert "not part of a SavedModel" in capsys.readouterr().err
        (tmp_path / other).unlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dir", "file.tflite", "g.keras"]


def test_a_link_as_output_is_no_traceback(tmp_path, capsys):
    save_tiny_generator(tmp_path / "g.keras")
    (tmp_path / "elsewhere").mkdir()
    for name, target in (("link", "elsewhere"), ("dangling", "nothing")):
        (tmp_path / name).symlink_to(target)
        flags = [f"--network={tmp_path / 'g.keras'}", f"--output={tmp_path / name}"]
        assert command.main([*flags, "--format=saved_model", "--overwrite"]) == 2
        assert f"{name}: is a symbolic link" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "dangling",
        "elsewhere",
        "g.keras",
        "link",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=onnx"], "--output is required"),
        (["--output=OUT"], "--format is required"),
        (["--format=onnx", "--output=OUT", "--network=TMP/none"], "none: no such run directory"),
        (["--format=onnx", "--output=OUT", "--network=TMP/text.keras"], "text.keras: not a .keras"),
        (["--format=onnx", "--output=TMP/folder.onnx"], "folder.onnx: a directory of that name"),
        (["--format=saved_model", "--output=TMP/text"], "a file of that name exists"),
        (
            ["--format=keras", "--output=OUT.onnx"],
            "ends as onnx files do. Received: --format=keras",
        ),
        (["--format=saved_model", "--output=OUT.tflite"], "ends as tflite files do"),
        (["--format=onnx", "--output=TMP/text"], "text/generator.onnx: can't be written: "),
        (["--format=onnx", "--output=TMP/text/new"], "text is a file"),
        (
            ["--format=saved_model", "--output=TMP/folder.onnx", "--overwrite"],
            "files that are not part of a SavedModel, so it is never replaced",
        ),
        (["--format=onnx", "--output=TMP/text.keras/g.onnx"], "g.onnx: can't be written"),
        (["--format=tflite", "--output=/proc/g.tflite"], "/proc/g.tflite: can't be written"),
        (
            ["--format=keras", "--output=OUT", "--output_type=uint8"],
            "is for --format=saved_model|onnx",
        ),
        (["--format=onnx", "--output=OUT", "--tflite_precision=float16"], "is for --format=tflite"),
        (["--format=gif", "--output=OUT"], "keras|saved_model|onnx|tflite"),
    ],
)
def test_mistakes_are_reported_in_one_line(tmp_path, capsys, arguments, message):
    save_tiny_generator(tmp_path / "g.keras")
    (tmp_path / "text.keras").write_text("none")
    (tmp_path / "text").write_text("none")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "folder.onnx" / "mine").write_text("mine")
    given = [a.replace("TMP", str(tmp_path)).replace("OUT", str(tmp_path / "o")) for a in arguments]
    assert command.main([f"--network={tmp_path / 'g.keras'}", *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("o*"))


def test_without_tf2onnx_the_extra_is_named(tmp_path, monkeypatch):
    save_tiny_generator(tmp_path / "g.keras")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"needs tf2onnx, .* pip install 'pgan_tf\[onnx\]'"):
        export_generator(tmp_path / "g.keras", tmp_path / "o" / "g.onnx", file_format="onnx")
    assert not (tmp_path / "o" / "g.onnx").exists()
