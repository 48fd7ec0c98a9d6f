"""CelebA-HQ, already built; the files are written here with Pillow and NumPy."""

import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.celebahq import open_celebahq

SIDE = 16


def portrait(seed, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def opened(path, expected=0, resolution=SIDE):
    return open_celebahq(path, resolution, expected, lambda line: None)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def put(folder, name, seed, side=SIDE):
    if name.endswith(".npy"):
        np.save(folder / name, portrait(seed, side).transpose(2, 0, 1))
    else:
        Image.fromarray(portrait(seed, side)).save(folder / name)


@pytest.mark.parametrize("pattern", ["imgHQ%05d.png", "%d.png", "%05d.npy"])
@pytest.mark.parametrize("first", [0, 1])
def test_images_are_in_the_order_of_their_numbers(folder, pattern, first):
    for index in range(12):
        put(folder, pattern % (index + first), index)
    source = opened(folder, expected=12)
    assert (source.count, source.channels, source.resolution) == (12, 3, SIDE)
    assert source.shuffled and source.labels() is None
    for index in range(12):
        image = source.load(index)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, portrait(index).transpose(2, 0, 1))


def test_a_full_size_image_is_kept_as_it_is(folder):
    put(folder, "imgHQ00000.png", 0, 1024)
    put(folder, "imgHQ00001.npy", 1, 1024)
    source = opened(folder, 2, 1024)
    for index in range(2):
        expected = portrait(index, 1024).transpose(2, 0, 1)
        np.testing.assert_array_equal(source.load(index), expected)


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 1, 2)], ids=["CHW", "HWC"])
@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays_are_read_in_every_shape(folder, axes, batch, version):
    array = portrait(0).transpose(axes)
    with (folder / "0.npy").open("wb") as file:
        np.lib.format.write_array(file, array[None] if batch else array, version)
    np.testing.assert_array_equal(opened(folder).load(0), portrait(0).transpose(2, 0, 1))


def test_an_archive_is_read_in_place(folder):
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for index, suffix in enumerate((".png", ".npy", ".npy")):
            put(folder, f"{index}{suffix}", index)
            archive.write(folder / f"{index}{suffix}", f"hq/{index}{suffix}")
    source = pickle.loads(pickle.dumps(opened(folder / "x.zip", expected=3)))
    for index in (2, 0, 1):
        np.testing.assert_array_equal(source.load(index), portrait(index).transpose(2, 0, 1))


def test_a_missing_a_doubled_and_a_nameless_image_are_refused(folder):
    for index in (0, 1, 3):
        put(folder, f"{index}.png", index)
    with pytest.raises(UserError, match="image 2 is missing; .* Received: 3 images, 0 to 3"):
        opened(folder)
    put(folder, "2.png", 2)
    assert opened(folder).count == 4
    with pytest.raises(UserError, match="must hold 30000 images, all of CelebA-HQ; .*Received: 4"):
        opened(folder, expected=30_000)
    put(folder, "002.npy", 2)
    with pytest.raises(UserError, match=r"2\.png: has the same number as .*002\.npy"):
        opened(folder)
    put(folder, "1portrait.png", 2)
    with pytest.raises(UserError, match=r"1portrait\.png: no number at the end of its name"):
        opened(folder)


def test_images_must_begin_at_0_or_1(folder):
    put(folder, "2.png", 0)
    with pytest.raises(UserError, match="image 1 is missing"):
        opened(folder)


def test_an_image_of_another_size_is_refused_before_any_work(folder):
    put(folder, "0.png", 0)
    put(folder, "1.png", 0, 8)
    with pytest.raises(UserError, match=r"1\.png: must be 16x16 pixels. Received: 8x8"):
        opened(folder)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"must be uint8 \[3, 16, 16\]. Received: uint8 \[3, 8, 8"),
        (np.zeros((3, 16, 16), np.float32), r"Received: float32 \[3, 16, 16\]"),
        (np.array([{}], object), "it holds Python objects"),
        (b"", "is damaged or no .npy file"),
        (b"nothing of the sort, and more of it", "is damaged or no .npy file"),
    ],
)
def test_a_wrong_array_is_refused_by_name(folder, content, expected):
    if isinstance(content, bytes):
        (folder / "0.npy").write_bytes(content)
    else:
        np.save(folder / "0.npy", content, allow_pickle=True)
    with pytest.raises(UserError, match=rf"0\.npy: .*{expected}"):
        opened(folder)


def test_a_truncated_array_is_refused_when_it_is_read(folder):
    put(folder, "0.npy", 0)
    path = folder / "0.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"0\.npy: is damaged"):
        opened(folder).load(0)
