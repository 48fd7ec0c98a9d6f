import os
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import pgan_tf
from pgan_tf.config import NetworkConfig
from pgan_tf.networks.generator import Generator
from pgan_tf.runs.saved_generator import (
    GeneratorDescription,
    as_keras_model,
    describe_generator,
    find_generator,
    save_generator,
)
from tests.helpers.rewriting import rewrite_member
from tfrecords_tools.errors import UserError

CONFIG = NetworkConfig(resolution=16, fmap_base=64, fmap_max=8)
LABELLED = NetworkConfig(resolution=16, fmap_base=64, fmap_max=8, label_size=2, channels=1)


@pytest.fixture
def latents(rng):
    return rng.normal(size=[4, 8]).astype(np.float32)


def save(path, config=CONFIG, *, resolution=16, alpha=None, dtype="float32", **description):
    generator = Generator(config, seed=3, dtype=dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = as_keras_model(generator, resolution=resolution, alpha=alpha)
    save_generator(path, model, GeneratorDescription.from_json(description))
    return generator


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_a_saved_generator_gives_the_same_images(tmp_path, latents, resolution):
    generator = save(tmp_path / "g.keras", resolution=resolution)
    model = pgan_tf.load_generator(tmp_path / "g.keras")
    assert [i.name for i in model.inputs] == ["latents"]
    images = model(latents)
    assert images.shape == (4, resolution, resolution, 3)
    expected = generator(tf.constant(latents), resolution=resolution)
    np.testing.assert_allclose(images, expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(latents, verbose=0), expected, atol=1e-5)


def test_alpha_is_kept_by_a_generator_saved_while_it_fades(tmp_path, latents):
    generator = save(tmp_path / "g.keras", alpha=0.25)
    images = pgan_tf.load_generator(tmp_path / "g.keras")(latents)
    faded = generator(tf.constant(latents), resolution=16, alpha=tf.constant(0.25))
    np.testing.assert_allclose(images, faded, atol=1e-6)
    assert np.abs(images - generator(tf.constant(latents), resolution=16)).max() > 0.01


def test_a_conditional_generator_has_labels_as_its_second_input(tmp_path, latents):
    generator = save(tmp_path / "g.keras", LABELLED)
    model = pgan_tf.load_generator(tmp_path / "g.keras")
    assert [(i.name, i.shape) for i in model.inputs] == [
        ("latents", (None, 8)),
        ("labels", (None, 2)),
    ]
    labels = np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]
    expected = generator(tf.constant(latents), tf.constant(labels), resolution=16)
    np.testing.assert_allclose(model([latents, labels]), expected, atol=1e-6)


def test_a_mixed_precision_generator_saves_float32_weights_and_images(tmp_path, latents):
    save(tmp_path / "g.keras", dtype="mixed_bfloat16")
    model = pgan_tf.load_generator(tmp_path / "g.keras")
    assert {w.dtype for w in model.weights} == {"float32"}
    assert model(latents).dtype == tf.float32


def test_a_saved_generator_holds_only_the_layers_of_its_stage(tmp_path):
    save(tmp_path / "g.keras", resolution=8)
    names = {layer.name for layer in pgan_tf.load_generator(tmp_path / "g.keras").layers}
    assert "to_rgb_8x8" in names
    assert not {"to_rgb_4x4", "to_rgb_16x16", "16x16_conv0"} & names


def test_a_saved_generator_is_an_ordinary_keras_model(tmp_path, latents):
    save(tmp_path / "g.keras")
    model = keras.saving.load_model(tmp_path / "g.keras")
    assert isinstance(model, keras.Model)
    assert model.count_params() > 0


def test_a_description_is_read_back(tmp_path):
    save(tmp_path / "g.keras", kimg=12.5, label_names=["cat", "dog"])
    assert describe_generator(tmp_path / "g.keras") == {"kimg": 12.5, "label_names": ["cat", "dog"]}


def test_a_description_is_written_as_one_json_object_with_kimg_beside_images_seen():
    description = GeneratorDescription(
        images_seen=96, resolution=8, alpha=0.5, label_size=0, label_names=(), label_rows=[]
    )
    written = description.to_json()
    assert written == {
        "format": 1,
        "images_seen": 96,
        "kimg": 0.096,
        "resolution": 8,
        "alpha": 0.5,
        "label_size": 0,
        "label_names": (),
        "label_rows": [],
    }
    assert GeneratorDescription.from_json(written).to_json() == written


def test_a_description_of_another_version_is_read_and_keeps_what_is_not_known():
    values = {"images_seen": "many", "resolution": 8, "best": [], "mood": "calm", "kimg": 7.5}
    description = GeneratorDescription.from_json(values)
    assert (description.images_seen, description.resolution, description.best) == (None, 8, None)
    assert description.label_names is None
    assert description.to_json() == values


def test_a_run_directory_means_its_newest_generator(tmp_path):
    networks = tmp_path / "networks"
    for kimg in ("000099", "000100", "000100.500"):
        save(networks / f"generator-{kimg}.keras")
    assert find_generator(tmp_path) == networks / "generator-000100.500.keras"


def test_the_newest_generator_is_known_by_its_description_and_not_by_its_rounded_name(tmp_path):
    networks = tmp_path / "networks"
    save(networks / "generator-000123.200.keras", images_seen=123_200)
    save(networks / "generator-000123.keras", images_seen=123_456)
    assert find_generator(tmp_path) == networks / "generator-000123.keras"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_network_is_refused(tmp_path, value):
    generator = Generator(CONFIG, seed=3)
    model = as_keras_model(generator, resolution=16, alpha=None)
    model.weights[2].assign(np.full(model.weights[2].shape, value))
    save_generator(tmp_path / "g.keras", model, GeneratorDescription.from_json({}))
    with pytest.raises(UserError, match=r"g\.keras: a broken network.* NaN or infinity in \w+"):
        pgan_tf.load_generator(tmp_path / "g.keras")


def test_another_keras_model_is_refused(tmp_path):
    inputs = keras.Input([3], name="x")
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=r"other.keras: not a generator: .* Received: x"):
        pgan_tf.load_generator(tmp_path / "other.keras")


def sequential():
    return keras.Sequential([keras.layers.Dense(3)])


def foreign():
    latents = keras.Input([16], name="latents")
    return keras.Model(latents, keras.layers.Reshape([4, 4, 1])(latents), name="mine")


def of_pictures():
    latents = keras.Input([4, 4, 1], name="latents")
    return keras.Model(latents, keras.layers.PReLU()(latents))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (sequential, "expected a functional Keras model. Received: Sequential, without inputs"),
        (foreign, "has no layer latent_norm. Received: a model named mine"),
        (of_pictures, r"Received: latents \[None, 4, 4, 1\] and \[None, 4, 4, 1\]"),
        (lambda: keras.layers.Dense(3), "Received: Dense, without inputs"),
    ],
)
def test_keras_objects_other_than_generators_are_refused(tmp_path, build, message):
    keras.saving.save_model(build(), tmp_path / "other.keras")
    with pytest.raises(UserError, match=f"other.keras: not a generator.*{message}"):
        pgan_tf.load_generator(tmp_path / "other.keras")


def test_a_description_that_is_not_an_object_is_refused(tmp_path):
    networks = tmp_path / "networks"
    save(networks / "generator-000001.keras")
    save(networks / "generator-000002.keras", images_seen="many")
    file = networks / "generator-000003.keras"
    save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"[]" if name == "pgan_tf.json" else content)
    with pytest.raises(
        UserError, match="pgan_tf.json in it: must be a JSON object. Received: list"
    ):
        describe_generator(file)
    assert find_generator(tmp_path) == file  # by its name


def test_an_imported_directory_means_its_generator(tmp_path):
    save(tmp_path / "generator.keras")
    assert find_generator(tmp_path) == tmp_path / "generator.keras"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "no such run directory or .keras file"),
        ("empty.keras", b"", "not a .keras file"),
        ("text.keras", b"not a zip archive", "not a .keras file"),
        (".", None, "no generator in it; expected networks/generator-NNNNNN.keras"),
    ],
)
def test_a_path_without_a_generator_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        pgan_tf.load_generator(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("zipfile.ZipFile.writestr", _fail)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "g.keras")
    assert list(tmp_path.iterdir()) == []


def _fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_a_description_of_wrong_types_is_not_believed():
    rows = {"label_rows": [[1, 0], [1]], "label_names": [1, 2], "images_seen": "many"}
    description = GeneratorDescription.from_json(rows)
    assert description.label_rows is description.label_names is description.images_seen is None
    assert description.other == rows


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 100_000, b"\xff" * 5000])
def test_a_damaged_member_is_one_line(tmp_path, member, data):
    save(tmp_path / "g.keras")
    rewrite_member(tmp_path / "g.keras", member, data)
    with pytest.raises(UserError, match=r"g\.keras: "):
        pgan_tf.load_generator(tmp_path / "g.keras")


def test_a_pipe_in_place_of_a_generator_is_refused_at_once(tmp_path):
    (tmp_path / "networks").mkdir()
    os.mkfifo(tmp_path / "networks/generator-000001.keras")
    for path in (tmp_path, tmp_path / "networks/generator-000001.keras"):
        with pytest.raises(UserError):
            pgan_tf.load_generator(path)
