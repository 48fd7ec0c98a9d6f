"""pgan-project as a user types it, and `pgan_tf.project`."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

import pgan_tf
from pgan_tf.cli import generate
from pgan_tf.cli import project as command
from pgan_tf.projecting.project import Projections
from pgan_tf.projecting.projection import Projector
from pgan_tf.runs.grids import draw_latents, to_uint8
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tests.helpers.small_inception import SmallInception
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "g.keras"
    description = {"label_names": ["cat", "a/dog"]}
    return path, save_tiny_generator(path, label_size=2, description=description)


@pytest.fixture
def pictures(network, tmp_path):
    """A cat and a dog that the network drew."""
    latents = draw_latents(2, LATENT_SIZE, seed=99)
    images = to_uint8(network[1]([latents, np.eye(2, dtype=np.float32)]))
    (tmp_path / "in").mkdir()
    for name, image in zip(("one", "two"), images, strict=True):
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def call(network, pictures, output, *flags):
    arguments = [f"--network={network[0]}", f"--input={pictures}", f"--output={output}"]
    return command.main([*arguments, "--steps=120", "--starts=3", *flags])


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_latents_that_are_found_draw_the_pictures(network, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert call(network, pictures, out, "--video=gif") == 0
    files = {f"{name}{end}" for name in ("one", "two")
             for end in (".npy", ".png", "-steps.png", ".json", ".gif")}  # fmt: skip
    assert {path.name for path in out.iterdir()} == files
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines[:2]] == [
        f"{pictures / 'one.png'}: class cat, pixels are off by {error(out, 'one'):.1f} of 255",
        f"{pictures / 'two.png'}: class a/dog, pixels are off by {error(out, 'two'):.1f} of 255",
    ]
    for name in ("one", "two"):
        assert error(out, name) < 12
        difference = pixels(out / f"{name}.png") - pixels(pictures / f"{name}.png")
        assert np.sqrt(np.mean(difference**2)) == pytest.approx(error(out, name), abs=0.3)
        # Seven tiles of 96 pixels, of which the first is the picture.
        sheet = pixels(out / f"{name}-steps.png")
        assert sheet.shape[1] == 7 * 96
        np.testing.assert_array_equal(sheet[:96:12, :96:12], pixels(pictures / f"{name}.png"))
        np.testing.assert_array_equal(sheet[:96:12, -96::12], pixels(out / f"{name}.png"))
        with Image.open(out / f"{name}.gif") as video:
            assert video.size == (2 * 8 * 32, 8 * 32) and video.n_frames > 30
    words = lines[2].partition("pgan-generate ")[2].replace("'", "").split()
    assert generate.main([*words[:-1], f"--output={tmp_path / 'again'}"]) == 0
    again = pixels(tmp_path / "again" / "000000-a_dog.png")
    assert np.abs(again - pixels(out / "two.png")).max() <= 1


def error(out, name):
    return json.loads((out / f"{name}.json").read_text())["rms_error"]


def test_what_is_written_says_how_it_was_found(network, pictures, tmp_path):
    out = tmp_path / "out"
    assert call(network, pictures / "one.png", out, "--classes=a/dog", "--seed=4") == 0
    said = json.loads((out / "one.json").read_text())
    assert said["class"] == "a/dog" and said["label"] == [0.0, 1.0]
    assert (said["steps"], said["starts"], said["seed"]) == (120, 3, 4)
    assert len(said["start_distances"]) == 3
    assert said["feature_distance"] is None
    assert np.load(out / "one.npy").shape == (1, LATENT_SIZE)


def test_labels_that_are_no_classes_are_written(pictures, tmp_path, capsys):
    rows = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    save_tiny_generator(tmp_path / "g.keras", label_size=3, description={"label_rows": rows})
    out = tmp_path / "out"
    assert call([tmp_path / "g.keras"], pictures / "one.png", out, "--steps=5") == 0
    said = json.loads((out / "one.json").read_text())
    assert said["label"] in rows and "class" not in said
    # pgan-generate would draw the latents with other labels.
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_video_that_cannot_be_written_is_refused_at_once(
    network, pictures, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert call(network, pictures, tmp_path / "out", "--video=mp4") == 2
    assert "pip install 'pgan_tf[video]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_inceptions_features_are_compared(network, pictures, tmp_path):
    graph = tmp_path / "graph.pb"
    graph.write_bytes(SmallInception().serialized())
    out = tmp_path / "out"
    flags = ["--pixel_weight=0", f"--inception={graph}"]
    assert call(network, pictures / "one.png", out, *flags) == 0
    said = json.loads((out / "one.json").read_text())
    assert said["feature_distance"] == pytest.approx(said["distance"])
    assert 0 < said["feature_distance"] < 0.1


def test_features_without_gradients_are_refused(network, pictures, tmp_path, capsys):
    (tmp_path / "own.py").write_text("def f(images):\n    return images.numpy().mean((1, 2))\n")
    assert call(network, pictures, tmp_path / "out", f"--features={tmp_path}/own.py:f") == 2
    message = capsys.readouterr().err
    assert "own.py:f: gradients are needed" in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_finished_stays_after_ctrl_c(network, pictures, tmp_path, monkeypatch):
    find, found = Projector.project, []

    def interrupted(self, *args, **kwargs):
        if found:
            raise KeyboardInterrupt
        found.append(find(self, *args, **kwargs))
        return found[0]

    monkeypatch.setattr(Projector, "project", interrupted)
    out = tmp_path / "out"
    assert call(network, pictures, out) == 130
    files = ["one-steps.png", "one.json", "one.npy", "one.png"]
    assert sorted(path.name for path in out.iterdir()) == files


def test_a_damaged_picture_is_left_out(network, pictures, tmp_path, capsys, monkeypatch):
    (pictures / "bad.png").write_bytes(b"none")
    monkeypatch.setattr(Projections, "write_all", lambda self, usable, *args, **kwargs: iter(
        [(picture, {"rms_error": 0.0, "latents": "x.npy"}) for picture in usable]
    ))  # fmt: skip
    assert call(network, pictures, tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "bad.png: is not an image, or damaged; --skip_bad_images leaves it out" in message
    assert call(network, pictures, tmp_path / "out", "--skip_bad_images") == 0
    assert capsys.readouterr().out.count("pixels are off") == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output={input}"], "holds one.png, which is a picture of --input"),
        (["--output={input}", "--overwrite"], "name another directory"),
        (["--output={input}/one.png"], "must be a directory"),
        (["--pixel_weight=0"], "nothing would be compared"),
        (["--pixel_weight=0", "--features=inception", "--feature_weight=0"], "nothing would be"),
        (["--classes=bird"], "--classes must be of cat, a/dog. Received: bird"),
        (["--starts=0"], "starts"),
        (["--starts=1000000"], "starts"),
        (["--learning_rate=0"], "learning_rate"),
        (["--video=avi"], "video"),
        (["--dinov2=x", "--features=inception"], "--dinov2=x is for --features=dinov2"),
        (["--class=cat"], "Did you mean --classes?"),
    ],
)
def test_a_mistake_is_one_line(network, pictures, tmp_path, capsys, flags, message):
    flags = [flag.format(input=pictures) for flag in flags]
    assert call(network, pictures, tmp_path / "out", *flags) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert sorted(path.name for path in pictures.iterdir()) == ["one.png", "two.png"]
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_files_is_kept(network, pictures, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.png").write_text("mine")
    assert call(network, pictures, tmp_path / "out") == 2
    assert "holds files already (one.png)" in capsys.readouterr().err
    assert (tmp_path / "out" / "one.png").read_text() == "mine"


def test_from_python_images_are_arrays(tmp_path):
    model = save_tiny_generator(tmp_path / "g.keras", dtype="mixed_float16")
    images = to_uint8(model(draw_latents(2, LATENT_SIZE, seed=99)))
    found = pgan_tf.project(tmp_path / "g.keras", images, steps=120, starts=3)
    for image, projection in zip(images, found, strict=True):
        drawn = to_uint8(model(projection.latents[np.newaxis]))[0]
        assert np.sqrt(np.mean((drawn.astype(int) - image) ** 2)) < 12
    for wrong in (images[0], images[..., :1], images.astype(np.float32)):
        with pytest.raises(UserError, match=r"images must be \[n 8 8 3\] uint8"):
            pgan_tf.project(tmp_path / "g.keras", wrong)
