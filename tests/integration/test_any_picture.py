"""The whole journey of rectangles, of images with alpha and of 16 bits, as a user makes it."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import pgan_tf
from pgan_tf.cli import evaluate, export, generate
from pgan_tf.cli import train as pgan_train
from tests.helpers.forked import TRAIN, Forked
from tests.helpers.states import saved_state
from tfrecords_tools.cli import inspect, prepare
from tfrecords_tools.format import open_pyramid

pytestmark = pytest.mark.slow

FLAGS = [
    "--fmap_base=64",
    "--fmap_max=8",
    "--start_resolution=8",
    "--stabilize_kimg=0.032",
    "--fade_kimg=0.032",
    "--batch_size=8",
    "--total_kimg=0.096",
    "--tick_kimg=0.016",
    "--sample_kimg=0.096",
    "--checkpoint_kimg=0.016",
    "--network_kimg=0.096",
    "--deterministic",
]
# The flags of preparing; width, height and PNG mode of the images.
CASES = {
    "wide with alpha": (["--resolution=24x16", "--channels=rgba", "--labels=classes"], "RGBA"),
    "tall of 16 bits": (["--resolution=16x20", "--bits=16", "--encoding=png"], "I;16"),
}


class Journey:
    """A pyramid, a run on it, and what is expected of its pictures."""

    def __init__(self, directory, flags, mode):
        self.directory, self.mode = directory, mode
        self.data, self.run = directory / "shapes", directory / "run"
        arguments = ["--source=synthetic", "--num_images=48", f"--output={self.data}", *flags]
        assert prepare.main(arguments) == 0
        self.pyramid = open_pyramid(self.data)
        _, self.height, self.width = self.pyramid.levels[-1].shape


def finish(process):
    """Wait for a run that is to end well; return its output."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


@pytest.fixture(scope="module", params=CASES)
def journey(request, tmp_path_factory):
    made = Journey(tmp_path_factory.mktemp("journey"), *CASES[request.param])
    output = finish(Forked(TRAIN, f"--data_dir={made.data}", f"--run_dir={made.run}", *FLAGS))
    assert f"to {made.width}x{made.height} on CPU:0" in output
    assert f"{made.width}x{made.height} stabilize" in output
    return made


def test_the_pyramid_is_intact_and_looked_at(journey, capsys):
    assert inspect.main(["verify", str(journey.data)]) == 0
    assert inspect.main(["info", str(journey.data)]) == 0
    assert f"{journey.width}x{journey.height}" in capsys.readouterr().out
    extracted = journey.directory / "extracted"
    flags = [f"--output={extracted}", "--num_images=2"]
    assert inspect.main(["extract", str(journey.data), *flags]) == 0
    images = journey.pyramid.levels[-1].read(np.arange(48))
    for file in sorted(extracted.glob("**/*.png")):
        with Image.open(file) as image:
            assert image.mode == journey.mode
            found = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
        assert (images == found).all(axis=(1, 2, 3)).any()


def test_an_interrupted_run_continues_to_the_same_bits(journey, tmp_path):
    run = tmp_path / "run"
    process = Forked(TRAIN, f"--data_dir={journey.data}", f"--run_dir={run}", *FLAGS)
    for line in process.stdout:
        if "fade" in line and "s/kimg" in line:
            os.kill(process.pid, signal.SIGINT)
            break
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert "continuing at" in finish(Forked(TRAIN, f"--run_dir={run}"))
    expected, found = (saved_state(each, 96) for each in (journey.run, run))
    assert expected.keys() == found.keys() and len(expected) > 50
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_run_of_other_pictures_is_not_continued(journey, tmp_path, capsys):
    other = tmp_path / "other"
    arguments = ["--source=synthetic", "--num_images=48", f"--output={other}"]
    assert prepare.main([*arguments, "--resolution=16"]) == 0
    capsys.readouterr()
    flags = [f"--run_dir={journey.run}", f"--data_dir={other}", "--total_kimg=0.2"]
    assert pgan_train.main(flags) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "other data" in errors


def test_generated_pictures_are_those_of_plain_keras(journey, tmp_path):
    flags = [f"--network={journey.run}", f"--output={tmp_path / 'out'}", "--num_images=3"]
    assert generate.main(flags) == 0
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.mode in ("L", "RGB")
    (newest,) = (journey.run / "networks").glob("*0.096.keras")
    model = keras.saving.load_model(newest, compile=False)
    latents = pgan_tf.draw_latents(3, model.inputs[0].shape[1], seed=0)
    labels = [np.eye(5, dtype=np.float32)[:3]] if len(model.inputs) > 1 else []
    floats = np.asarray(model([latents, *labels]))
    most = 2**journey.pyramid.bits - 1
    expected = np.rint((floats + 1) / 2 * most).clip(0, most)
    files = sorted(path for path in (tmp_path / "out").glob("0*.png"))
    for file, image in zip(files, expected, strict=True):
        with Image.open(file) as picture:
            assert (picture.size, picture.mode) == ((journey.width, journey.height), journey.mode)
            found = np.atleast_3d(np.asarray(picture)).astype(np.float64)
        # Kernels differ between batches of different sizes.
        assert np.abs(found - image).max() <= 1 + most // 2**12


def test_a_video_has_even_sides(journey, tmp_path):
    flags = [f"--network={journey.run}", f"--output={tmp_path / 'out'}", "--video=interpolation"]
    assert generate.main([*flags, "--format=gif", "--seconds=0.5", "--fps=4"]) == 0
    (video,) = (tmp_path / "out").iterdir()
    with Image.open(video) as opened:
        assert opened.width % 2 == opened.height % 2 == 0


def test_metrics_judge_what_is_visible(journey, capsys):
    flags = [f"--network={journey.run}", f"--data_dir={journey.data}", "--num_images=24"]
    assert evaluate.main([*flags, "--metrics=swd,ms_ssim"]) == 0
    printed = capsys.readouterr().out
    assert "swd" in printed and "ms_ssim" in printed
    assert ("white" in printed) == (journey.mode == "RGBA")
    (written,) = journey.run.rglob("metrics-*.json")
    assert "NaN" not in written.read_text()


@pytest.mark.parametrize("form", ["saved_model", "tflite", "onnx"])
def test_exports_draw_as_keras_does(journey, tmp_path, form):
    # The command compares each with Keras before it is done.
    flags = [f"--network={journey.run}", f"--format={form}", f"--output={tmp_path / form}"]
    assert export.main(flags) == 0


PLAIN_KERAS = """
import sys
sys.modules["pgan_tf"] = None  # importing it fails
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
print(np.asarray(model([np.zeros([1, *i.shape[1:]], np.float32) for i in model.inputs])).shape)
"""


def test_a_keras_export_is_loaded_without_this_project(journey, tmp_path):
    file = tmp_path / "generator.keras"
    assert export.main([f"--network={journey.run}", "--format=keras", f"--output={file}"]) == 0
    code = [sys.executable, "-c", PLAIN_KERAS, str(file)]
    printed = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert printed.strip() == str((1, journey.height, journey.width, journey.pyramid.channels))
