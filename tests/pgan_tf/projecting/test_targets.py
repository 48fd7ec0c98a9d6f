import zipfile

import numpy as np
import pytest
from PIL import Image

from pgan_tf.generating.sampler import Sampler
from pgan_tf.projecting.targets import PictureReader, as_floats, find_pictures
from tests.helpers.generators import save_tiny_generator
from tfrecords_tools.errors import UserError
from tfrecords_tools.shape import Base


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("b.png", "a.png", "sub/a.jpg", "sub/a-steps.png", "B.bmp"):
        save(tmp_path / "in" / name, rng.integers(0, 256, [9, 12, 3], np.uint8))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


def names(inputs):
    return [picture.name for picture in find_pictures(inputs, say=lambda line: None)]


def test_names_are_unique_with_the_files_that_are_written_for_them(folder):
    # a-steps.png would be written for a.png, and a.png for sub/a.jpg too; some disks ignore case.
    assert names([folder]) == ["B", "a", "b-2", "a-steps-2", "a-2"]


def test_inputs_are_files_folders_and_archives(folder, tmp_path):
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(folder / "a.png", "x/z.png")
    both = f"{folder}/b.png,{folder}/a.png"
    assert names([both, str(archive), folder / "sub"]) == ["b", "a", "z", "a-steps-2", "a-2"]
    (folder / "b.png").rename(folder / "b,c.png")
    assert names([f"{folder}/b,c.png"]) == ["b,c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("none", "none: no such file or folder"), (",", "must name a picture"), ("sub/x", "no such")],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"--input.*{message}"):
        find_pictures([text])


def read(path, tmp_path, **kwargs):
    network = tmp_path / "g.keras"
    save_tiny_generator(network, **kwargs)
    reader = PictureReader(Sampler(network), crop="center")
    return reader.read(find_pictures([path])[0])


def test_a_picture_is_cropped_and_scaled_also_up(tmp_path):
    pixels = np.zeros([4, 8, 3], np.uint8)
    pixels[:, 2:6] = [10, 20, 30]
    save(tmp_path / "in" / "a.png", pixels)
    image = read(tmp_path / "in" / "a.png", tmp_path)
    np.testing.assert_array_equal(image, np.full([8, 8, 3], [10, 20, 30], np.uint8))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_has_the_networks_channels_and_shape(tmp_path, channels):
    pixels = np.full([12, 8, 4], [200, 200, 200, 0], np.uint8)
    pixels[:6, :, 3] = 255
    save(tmp_path / "in" / "a.png", pixels)
    options = {"base": Base(6, 4)}
    image = read(tmp_path / "in" / "a.png", tmp_path, channels=channels, options=options)
    assert image.shape == (12, 8, channels)
    assert (image[:6, :, 0] == 200).all()
    if channels % 2 == 0:
        assert (image[6:, :, -1] == 0).all()
    else:
        assert (image[6:] == 255).all()  # on white


def test_16_bits_are_kept(tmp_path):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    save(tmp_path / "in" / "a.png", values)
    image = read(tmp_path / "in" / "a.png", tmp_path, channels=1, description={"bits": 16})
    np.testing.assert_array_equal(image[:, :, 0], values)
    np.testing.assert_allclose(as_floats(image)[:, :, 0], values / 32767.5 - 1, atol=1e-6)


def test_a_damaged_picture_is_named_or_left_out(folder, tmp_path, caplog):
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "b.png").write_bytes(b"no picture")
    network = tmp_path / "g.keras"
    save_tiny_generator(network)
    reader = PictureReader(Sampler(network))
    pictures = find_pictures([folder], say=lambda line: None)
    with pytest.raises(UserError, match=r"in/a.png: is .*; --skip_bad_images leaves it out"):
        reader.usable(pictures, skip_bad_images=False)
    usable = reader.usable(pictures, skip_bad_images=True)
    assert [picture.name for picture in usable] == ["B", "a-steps-2", "a-2"]
    assert caplog.text.count("left out: ") == 2
    bad = [picture for picture in pictures if picture.name in ("a", "b-2")]
    with pytest.raises(UserError, match="no picture can be used: 1: is "):
        reader.usable(bad, skip_bad_images=True)
