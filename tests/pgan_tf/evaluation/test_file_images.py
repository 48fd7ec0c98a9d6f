"""Image files as a set of images: the pixels, the classes, and what results say of them."""

import numpy as np
import pytest
from PIL import Image

from pgan_tf.evaluation.file_images import FileImages, open_survey
from pgan_tf.evaluation.image_sets import PyramidImages
from pgan_tf.evaluation.images import Reals
from tests.helpers.drawn import write_drawn
from tests.helpers.extracted import extract
from tests.helpers.pictures import noise
from tests.helpers.tiny import write_pyramid
from tfrecords_tools.cli import prepare
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid


def opened(path, size=None, class_names=None, skip=False):
    survey = open_survey(path, flag="network", skip_bad_images=skip, say=lambda line: None)
    return FileImages(survey, size or survey.common_size, class_names)


def all_of(images):
    reals = Reals(images, seed=3, mirror=True)
    return np.concatenate(list(reals.read(0, images.count)))


@pytest.mark.parametrize(
    "drawn",
    [
        {"channels": "rgba"},
        {"channels": "gray_alpha", "size": "16"},
        {"channels": "rgb", "size": "16"},
        {"channels": "gray", "bits": 16},
    ],
    ids=lambda drawn: "-".join(map(str, drawn.values())),
)
def test_pngs_of_a_pyramid_are_what_the_pyramid_is(tmp_path, drawn):
    pyramid = write_drawn(tmp_path / "data", count=9, **drawn)
    files = opened(extract(tmp_path / "data", tmp_path / "png"))
    stored = PyramidImages(pyramid, pyramid.resolution)
    np.testing.assert_array_equal(all_of(files), all_of(stored))
    assert (files.size, files.size_text) == (stored.size, stored.size_text)
    assert (files.channels, files.resolution) == (stored.channels, stored.resolution)
    of_bits = {"bits": stored.traits["bits"]} if drawn.get("bits") else {}
    assert files.traits | of_bits == stored.traits


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_other_sizes_are_cropped_and_scaled_as_they_are_prepared(tmp_path, mode):
    channels = len(mode)
    for number, size in enumerate([(50, 40), (33, 47), (16, 16)]):
        pixels = noise(*size, channels, seed=number)
        (tmp_path / "set").mkdir(exist_ok=True)
        image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
        image.save(tmp_path / "set" / f"{number}.png")
    given = ["--source=images", f"--input={tmp_path / 'set'}", "--resolution=16", "--noshuffle"]
    assert prepare.main([*given, f"--output={tmp_path / 'data'}", "--num_workers=1"]) == 0
    files, stored = opened(tmp_path / "set", (16, 16)), open_pyramid(tmp_path / "data")
    expected = PyramidImages(stored, 16)
    np.testing.assert_array_equal(files.read(np.arange(3)), expected.read(np.arange(3)))
    assert files.traits["fitted"] == "center, lanczos"


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """PNGs of a labelled pyramid, in a folder for each class."""
    directory = tmp_path_factory.mktemp("classes")
    labels = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    data = write_pyramid(directory / "data", resolution=8, channels=1, count=12, labels=labels)
    return extract(data, directory / "png", labels="folders")


def test_folders_are_classes(classes):
    files = opened(classes)
    assert (files.label_names, files.label_size) == (("0", "1", "2"), 3)
    assert files.name(0) == "000000.png"
    numbers = [int(files.survey.name(place).split("/")[-2]) for place in range(12)]
    np.testing.assert_array_equal(files.labels_of(np.arange(12)), np.eye(3)[numbers])


def test_folders_named_as_classes_have_their_labels_in_their_order(classes):
    files = opened(classes, class_names=("2", "x", "1", "0"))
    columns = files.labels_of(np.arange(12)).argmax(axis=1)
    assert columns.tolist() == [3] * 4 + [2] * 4 + [0] * 4
    assert files.label_names == ("2", "x", "1", "0")


@pytest.mark.parametrize("names", [("0", "1"), ("a", "b", "c")])
def test_folders_of_other_names_are_no_classes(classes, names):
    files = opened(classes, class_names=names)
    assert files.label_names is None and files.labels_of(np.arange(2)).shape == (2, 0)


def test_names_that_can_not_be_folders_are_found_as_they_are_extracted(tmp_path):
    for name in ("shirt_top", "boot"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "1.png")
    files = opened(tmp_path, class_names=("shirt/top", "boot"))
    assert files.labels_of(np.arange(2)).tolist() == [[0, 1], [1, 0]]


def test_one_folder_and_files_beside_folders_are_no_classes(classes, tmp_path):
    assert opened(classes.parent).label_size == 0  # all lie in png/
    for name in ("a/1.png", "b/1.png", "1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name)
    assert opened(tmp_path).label_size == 0


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        (["000000.png", "000001-cat.png", "grid.png"], True),
        (["out/000000.png", "out/grid.png"], True),
        (["000000.png", "holiday.png", "grid.png"], False),
        (["a/000000.png", "b/grid.png"], False),
        (["grid.png"], False),
    ],
)
def test_the_grid_of_generated_images_is_left_out(tmp_path, names, left_out):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8) if "grid" in name else (4, 4)).save(tmp_path / name)
    said = []
    survey = open_survey(tmp_path, flag="network", skip_bad_images=False, say=said.append)
    assert (survey.count, survey.skipped) == (len(names) - left_out, 0)
    assert any(line.endswith("grid.png, the grid of the others") for line in said) == left_out


def test_a_file_that_is_damaged_later_is_an_error(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "1.png")
    files = opened(tmp_path)
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1\.png: is not an image, or damaged"):
        files.read(np.zeros(1, int))
