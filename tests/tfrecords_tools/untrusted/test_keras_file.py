import io
import json
import signal
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tests.helpers.parser import end_this_process
from tests.helpers.rewriting import rewrite_member
from tfrecords_tools.errors import UserError
from tfrecords_tools.untrusted import keras_file
from tfrecords_tools.untrusted.keras_file import load_keras_file

WEIGHTS = "model.weights.h5"


@pytest.fixture
def file(tmp_path):
    inputs = keras.Input([4, 4, 1])
    wide = keras.layers.UpSampling2D(2, name="upscale")(inputs)
    flat = keras.layers.GlobalAveragePooling2D()(keras.layers.UpSampling2D(2, name="again")(wide))
    outputs = keras.layers.Dropout(0.5)(keras.layers.Dense(3, name="dense")(flat))
    keras.Model(inputs, outputs).save(tmp_path / "x.keras")
    return tmp_path / "x.keras"


def change(file, layer, **values):
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    (found,) = (entry for entry in config["config"]["layers"] if entry["name"] == layer)
    found["config"].update(values)
    rewrite_member(file, "config.json", json.dumps(config))


def test_a_whole_file_is_loaded_as_keras_loads_it(file):
    ours, theirs = load_keras_file(file), keras.saving.load_model(file)
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("units", [4, 10**7, 10**15])
def test_layers_larger_than_their_weights_take_no_memory(file, units):
    change(file, "dense", units=units)
    with pytest.raises(UserError, match=rf"x\.keras: .* claim to have {2 * units} weights"):
        load_keras_file(file)
    # What Keras has left to initialize would be initialized now.
    layer = keras.layers.Dense(2)
    keras.Model(inputs := keras.Input([3]), layer(inputs))
    assert layer.kernel.shape == (3, 2)


def test_layers_of_any_number_of_pixels_are_refused(file):
    for layer in ("upscale", "again"):
        change(file, layer, size=[2**13, 2**13])
    with pytest.raises(UserError, match=r"makes \[268435456, 268435456, 1\] values of an image"):
        load_keras_file(file)


def rewrite(file, edit):
    with zipfile.ZipFile(file) as archive:
        content = io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(content, "r+") as weights:
        edit(weights)
    rewrite_member(file, WEIGHTS, content.getvalue())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda w: w.create_dataset("x", (2**20, 2**20), chunks=(1, 8)), "x: damaged: claims to"),
        (lambda w: w.create_dataset("x", (9,), external=[("y", 0, 72)]), "x: must be numbers in"),
        (lambda w: w.create_dataset("x", data=["a"]), "x: must be numbers in this file. Received"),
        (
            lambda w: w.__setitem__("x", h5py.ExternalLink("y", "z")),
            "/: must not refer to",
        ),
        (lambda w: w["layers"].__setitem__("x", h5py.SoftLink("/layers")), "layers: must not ref"),
        (lambda w: w["layers"].__setitem__("x", w["layers"]), None),  # a circle, which Keras skips
    ],
)
def test_weights_are_numbers_in_the_file(file, edit, message):
    rewrite(file, edit)
    if message is None:
        load_keras_file(file)
        return
    with pytest.raises(UserError, match=rf"x\.keras: {WEIGHTS} in it: {message}"):
        load_keras_file(file)


def test_weights_that_end_a_process_end_another_one(file, monkeypatch):
    monkeypatch.setattr(keras_file, "_count_weights", end_this_process)
    with pytest.raises(UserError, match=rf"x\.keras: .* was ended by {signal.SIGSEGV.name}"):
        load_keras_file(file)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_missing_member_is_named(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr({"config.json": WEIGHTS, WEIGHTS: "config.json"}[name], "{}")
    with pytest.raises(UserError, match=rf"x\.keras: not a \.keras file: there is no {name} in it"):
        load_keras_file(tmp_path / "x.keras")
