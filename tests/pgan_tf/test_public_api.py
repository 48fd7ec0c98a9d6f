"""The package as others use it from Python."""

import dataclasses
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import pgan_tf
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator, tiny_generator
from tests.helpers.tiny import tiny_config, write_pyramid

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def network(tmp_path):
    return tmp_path / "g.keras"


@pytest.fixture
def latents(rng):
    return rng.standard_normal([4, LATENT_SIZE]).astype(np.float32)


def test_every_public_name_exists_has_a_docstring_and_stands_in_the_docs():
    text = (ROOT / "docs" / "reference" / "api.md").read_text()
    listed = re.findall(r"^\| (`[^|]*) \|", text, re.M)
    documented = {name for row in listed for name in re.findall(r"`(\w+)", row)}
    assert documented == set(pgan_tf.__all__)
    for name in pgan_tf.__all__:
        assert inspect.getdoc(getattr(pgan_tf, name)), name
        assert name in dir(pgan_tf)


def test_public_functions_are_typed():
    for name in pgan_tf.__all__:
        value = getattr(pgan_tf, name)
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            for parameter in signature.parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)


def test_names_that_are_none_are_said_to_be_none():
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = pgan_tf.trian


@pytest.mark.parametrize(
    "imports",
    ["keras, pgan_tf", "pgan_tf.layers, keras", "tensorflow, keras, pgan_tf.config"],
)
def test_keras_loads_a_generator_by_itself_once_the_layers_are_registered(network, imports):
    save_tiny_generator(network)
    code = f"import sys, {imports}; keras.saving.load_model(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(network)], check=True, timeout=200)


def test_importing_the_package_does_not_import_tensorflow():
    code = "import pgan_tf, sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_the_package_can_be_imported_beside_keras_on_another_backend(monkeypatch):
    # Its networks can't be used there, but that is said when they are.
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    importlib.reload(pgan_tf)


def test_importing_the_package_leaves_python_s_imports_alone():
    code = (
        "import sys\n"
        "before = list(sys.meta_path), list(sys.path_hooks)\n"
        "import pgan_tf\n"
        "assert (sys.meta_path, sys.path_hooks) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", pgan_tf.__version__)
    assert "version = attr: pgan_tf.__version__" in (ROOT / "setup.cfg").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(.*?)\]", changelog, re.M)[1] in (pgan_tf.__version__, "Unreleased")
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {pgan_tf.__version__}" in citation


def test_every_section_of_a_run_is_public():
    sections = dataclasses.fields(pgan_tf.TrainConfig)
    assert {type(getattr(pgan_tf.TrainConfig(), s.name)).__name__ for s in sections} <= set(
        pgan_tf.__all__
    )


def test_a_generator_shows_its_summary_and_its_plot(network, capsys, monkeypatch):
    import pydot

    save_tiny_generator(network, label_size=2)
    model = pgan_tf.load_generator(network)
    model.summary()
    assert "8x8_conv1" in capsys.readouterr().out
    # Without Graphviz, which draws what Keras and pydot describe.
    written = {}
    monkeypatch.setattr(pydot.Dot, "create", lambda self, *args, **kwargs: b"")
    monkeypatch.setattr(
        pydot.Dot, "write", lambda self, file, **kwargs: written.update(dot=self.to_string())
    )
    monkeypatch.setitem(sys.modules, "IPython", None)  # Keras would embed the file in a notebook
    keras.utils.plot_model(model, str(network.with_suffix(".svg")), show_layer_names=True)
    assert "EqualizedConv2D" in written["dot"]
    assert "labels" in written["dot"]


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_a_generator_computes_in_the_precision_that_is_asked_for(network, latents, dtype):
    full = save_tiny_generator(network)
    model = pgan_tf.load_generator(network, dtype=dtype)
    assert model.get_layer("8x8_conv1").compute_dtype == dtype.removeprefix("mixed_")
    assert model.get_layer("8x8_conv1").kernel.dtype == "float32"
    images = model(latents)
    assert images.dtype == tf.float32
    difference = np.abs(images - full(latents))
    assert 0 < difference.max() < 0.2
    again = pgan_tf.load_generator(network, dtype="float32")
    np.testing.assert_allclose(again(latents), full(latents), atol=1e-6)


def test_a_global_policy_leaves_a_saved_generator_as_it_was(network, latents):
    full = save_tiny_generator(network)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        images = pgan_tf.load_generator(network)(latents)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_allclose(images, full(latents), atol=1e-6)


def test_a_generator_works_within_another_model_and_gradients_reach_its_latents(network, latents):
    save_tiny_generator(network)
    generator = pgan_tf.load_generator(network)
    inputs = keras.Input([LATENT_SIZE])
    mean = keras.layers.GlobalAveragePooling2D()(generator(2.0 * inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(mean))
    variable = tf.Variable(latents)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(model(variable))
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=1) > 0).all()
    model.save(network.with_name("both.keras"))
    again = keras.saving.load_model(network.with_name("both.keras"))
    np.testing.assert_allclose(again(latents), model(latents), atol=1e-5)


def test_another_model_may_train_through_a_frozen_generator(network, latents):
    # An encoder that learns latents, as many do.
    save_tiny_generator(network)
    generator = pgan_tf.load_generator(network)
    generator.trainable = False
    images = generator(latents).numpy()
    inputs = keras.Input(images.shape[1:])
    codes = keras.layers.Dense(LATENT_SIZE)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, generator(codes))
    model.compile("adam", "mse")
    before = [w.numpy() for w in generator.weights]
    history = model.fit(images, images, epochs=4, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    for weight, value in zip(generator.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_paths_may_begin_with_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    save_tiny_generator(home / "g.keras", description={"resolution": 8})
    write_pyramid(home / "data", resolution=8, channels=3)
    for network in ("~/g.keras", Path("~/g.keras")):
        assert pgan_tf.load_generator(network).inputs
        assert pgan_tf.describe_generator(network)
        assert pgan_tf.Sampler(network).file == home / "g.keras"
    exported = pgan_tf.export_generator("~/g.keras", "~/out/h.keras", file_format="keras")
    assert exported.path == home / "out" / "h.keras"
    pgan_tf.save_video("~/a.gif", iter(np.zeros([2, 8, 8, 3], np.uint8)), fps=10)
    result = pgan_tf.train(tiny_config("~/data", "~/run"))
    assert result.images_seen == 96
    with pytest.raises(pgan_tf.UserError, match=f"{home}/x.tgz: no such file"):
        pgan_tf.metrics.load_inception("~/x.tgz")
    with pytest.raises(pgan_tf.UserError, match=f"{home}/x.keras: no such file"):
        pgan_tf.metrics.load_digit_classifier("~/x.keras")
    (home / "own.py").write_text("def f(images):\n    return images.mean((1, 2))\n")
    assert pgan_tf.metrics.load_features("~/own.py:f")
    assert sorted(os.listdir(home)) == ["a.gif", "data", "g.keras", "out", "own.py", "run"]
    assert os.listdir(tmp_path) == ["home"]


def test_batches_of_any_size_predict_and_clones_agree(network, latents):
    save_tiny_generator(network)
    model = pgan_tf.load_generator(network)
    images = model(latents).numpy()
    np.testing.assert_allclose(model(latents[:1]), images[:1], atol=1e-5)
    np.testing.assert_allclose(model.predict(latents, batch_size=3, verbose=0), images, atol=1e-5)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(latents), images, atol=1e-6)


def test_layers_are_those_of_keras_for_other_networks(latents):
    from pgan_tf import layers

    model = keras.Sequential(
        [
            keras.Input([4, 4, 3]),
            layers.EqualizedConv2D(8, resample="upscale"),
            layers.PixelNorm(),
            layers.EqualizedConv2D(8, resample="downscale"),
            layers.MinibatchStdDev(),
            keras.layers.Flatten(),
            layers.EqualizedDense(1, gain=1.0),
        ]
    )
    model.compile("adam", "mse")
    model.fit(np.ones([4, 4, 4, 3]), np.zeros([4, 1]), verbose=0)
    assert model.output_shape == (None, 1)


def test_a_truncated_generator_is_a_model_too(network, latents):
    model = pgan_tf.with_truncation(tiny_generator())
    model.save(network)
    again = keras.saving.load_model(network)
    inputs = [latents, np.full([4, 1], 0.5, np.float32)]
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-6)
