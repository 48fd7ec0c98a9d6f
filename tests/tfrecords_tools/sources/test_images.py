"""Folders of images: the choice and order of files, their classes and size."""

import functools
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.decoding import EXTENSIONS
from tfrecords_tools.image_files.files import open_folder
from tfrecords_tools.image_files.headers import read_header
from tfrecords_tools.image_files.pixels import read_pixels
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.images import open_images

AUTO = ImagePolicy(channels=0, resolution=0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "photos"


def put(path, size=(8, 8), color="red", mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def opened(folder, policy=AUTO, use_folders=False, skip=False, workers=1, lines=None):
    say = (lines if lines is not None else []).append
    return open_images(folder, policy, use_folders, workers, skip, say)


def test_images_are_found_in_every_folder_in_the_order_of_their_paths(folder):
    for name in ("b/2.png", "b/10.png", "a.png", "c/d/e.JPG", "B.Png"):
        put(folder / name)
    files = open_folder(folder, EXTENSIONS)
    assert files.names == ("B.Png", "a.png", "b/10.png", "b/2.png", "c/d/e.JPG")
    assert files.ignored == 0


def test_hidden_and_other_files_are_left_out(folder):
    for name in (".hidden.png", ".thumbnails/x.png", "@eaDir/x.png", "good.png"):
        put(folder / name)
    (folder / "notes.txt").write_text("")
    lines = []
    assert opened(folder, lines=lines).files.names == ("good.png",)
    assert f"Ignored 1 file in {folder}, not images by their extension" in lines


def test_linked_folders_are_followed_but_not_in_circles(folder, tmp_path):
    put(folder / "a.png")
    put(tmp_path / "elsewhere" / "b.png")
    os.symlink(tmp_path / "elsewhere", folder / "link")
    os.symlink(folder, folder / "circle")
    assert open_folder(folder, EXTENSIONS).names == ("a.png", "link/b.png")


def test_an_empty_folder_is_refused(folder):
    folder.mkdir()
    with pytest.raises(UserError, match=r"photos: no images; .*Received: an empty folder"):
        opened(folder)


def test_a_folder_without_images_is_refused(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"photos: no images; .*Received: 1 other files"):
        opened(folder)


def test_a_missing_folder_and_a_file_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match="photos: no such folder"):
        opened(folder)
    with pytest.raises(UserError, match=r"x\.png: not a folder"):
        opened(put(tmp_path / "x.png"))


def test_class_folders_are_labels_in_sorted_order(folder):
    for name in ("dogs/1.png", "cats/1.png", "dogs/deep/2.png", "ants/1.png"):
        put(folder / name)
    source = opened(folder, use_folders=True)
    assert source.label_names == ("ants", "cats", "dogs")
    assert source.files.names == ("ants/1.png", "cats/1.png", "dogs/1.png", "dogs/deep/2.png")
    expected = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32)
    np.testing.assert_array_equal(source.labels(), expected)
    assert source.labels().dtype == np.float32


def test_an_image_in_no_class_folder_is_refused(folder):
    put(folder / "cats/1.png")
    put(folder / "stray.png")
    with pytest.raises(UserError, match=r"photos/stray\.png: in no class folder"):
        opened(folder, use_folders=True)


def test_without_labels_there_are_none(folder):
    put(folder / "cats/1.png")
    source = opened(folder)
    assert source.labels() is None and source.label_names is None


def test_all_gray_images_make_one_channel_and_one_of_color_three(folder):
    put(folder / "1.png", mode="L", color=3)
    put(folder / "2.png", mode="LA", color=(3, 255))
    assert opened(folder).channels == 1
    put(folder / "3.png")
    assert opened(folder).channels == 3


def test_the_resolution_is_the_largest_that_enlarges_nothing_and_is_said(folder):
    put(folder / "1.png", (100, 300))
    put(folder / "2.png", (64, 500))
    put(folder / "3.png", (600, 63))
    lines = []
    assert opened(folder, lines=lines).resolution == 32
    said = f"Resolution 32x32: the smallest image, {folder}/3.png, is 600x63 pixels"
    assert said in lines
    padded = ImagePolicy(channels=0, resolution=0, crop="pad")
    assert opened(folder, padded).resolution == 256


def test_images_below_the_smallest_resolution_are_refused(folder):
    put(folder / "1.png", (3, 3))
    with pytest.raises(UserError, match=r"1\.png: is 3x3 pixels, too small"):
        opened(folder)


def test_a_small_image_is_refused_by_name_before_any_work(folder):
    put(folder / "1.png", (64, 64))
    put(folder / "2.png", (30, 64))
    with pytest.raises(BadImageError, match=r"2\.png: is 30x64 pixels, too small for 32x32"):
        opened(folder, ImagePolicy(channels=3, resolution=32))


def test_a_damaged_header_is_refused_by_name_unless_bad_images_are_skipped(folder):
    put(folder / "1.png")
    (folder / "2.png").write_bytes(b"nothing")
    with pytest.raises(BadImageError, match=r"2\.png: is not an image"):
        opened(folder)
    source = opened(folder, skip=True)
    assert source.count == 2 and source.resolution == 8


def test_only_damaged_images_are_refused_even_when_skipped(folder):
    folder.mkdir()
    (folder / "2.png").write_bytes(b"nothing")
    put(folder / "3.png", (5, 3))
    put(folder / "4.png", (7, 3))
    policy = ImagePolicy(channels=0, resolution=4)
    expected = r"photos: none of its 3 image files can be used: 2: is 5x3 .*; 1: is not an image"
    with pytest.raises(UserError, match=expected):
        opened(folder, policy, skip=True)


@pytest.mark.parametrize(
    ("folders", "warned"),
    [
        (("train", "val"), "train, val look like parts of a data set"),
        (("Test", "cats", "valid"), "Test, valid look like parts"),
        (("train",), "train look like parts"),
        (("train", "boat"), ""),  # a class of CIFAR-100
        (("cats", "dogs"), ""),
    ],
)
def test_folders_named_as_parts_of_a_data_set_are_warned_of(folder, caplog, folders, warned):
    for name in folders:
        put(folder / name / "1.png")
    opened(folder, use_folders=True)
    assert warned in caplog.text and bool(warned) == bool(caplog.text)
    opened(folder)
    assert caplog.text.count("WARNING") <= 1


def test_headers_are_read_by_several_processes_alike(folder, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.sources.header_scan._SCAN_CHUNK", 1)
    for number in range(10):
        put(folder / f"{number}.png", (20 + number, 40))
    assert opened(folder, workers=2).policy == opened(folder, workers=1).policy


def test_a_source_works_in_another_process(folder):
    put(folder / "1.png")
    source = pickle.loads(pickle.dumps(opened(folder)))
    image = source.load(0)
    assert image.shape == (3, 8, 8) and image[:, 0, 0].tolist() == [255, 0, 0]


def test_a_name_that_is_no_text_is_read(folder):
    folder.mkdir()
    try:
        path = os.path.join(os.fsencode(folder), b"caf\xe9.png")
        with open(path, "wb") as file:
            Image.new("RGB", (4, 4)).save(file, "PNG")
    except OSError:
        pytest.skip("this file system takes text only")
    assert opened(folder).load(0).shape == (3, 4, 4)


def test_folders_that_all_link_to_each_other_are_refused(tmp_path):
    for first in range(8):
        (tmp_path / str(first)).mkdir()
        for second in range(8):
            os.symlink(tmp_path / str(second), tmp_path / str(first) / str(second))
    with pytest.raises(UserError, match="folders that link to each other: .* more than 100 names"):
        open_folder(tmp_path, EXTENSIONS)


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_is_no_file_is_a_bad_image(folder, kind):
    folder.mkdir()
    (os.mkfifo if kind == "pipe" else functools.partial(os.symlink, "nowhere"))(folder / "x.png")
    with pytest.raises(BadImageError, match=r"x\.png: (is not a file|cannot be read: No such)"):
        read_pixels(folder / "x.png", ImagePolicy(3, 4))
    with pytest.raises(BadImageError, match=r"x\.png: "):
        read_header(folder / "x.png", 100)
