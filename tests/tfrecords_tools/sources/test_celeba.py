"""CelebA's aligned photographs and its attributes, written here with Pillow and as text."""

import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.sources.celeba import open_celeba

COUNT = 5
MALE, SMILING = [1, -1, 1, -1, 1], [1, 1, -1, -1, 1]


def photograph(seed):
    return np.random.default_rng(seed).integers(0, 256, (218, 178, 3), np.uint8)


@pytest.fixture
def celeba(tmp_path):
    folder = tmp_path / "celeba" / "img_align_celeba_png"
    folder.mkdir(parents=True)
    for number in range(COUNT):
        Image.fromarray(photograph(number)).save(folder / f"{number + 1:06d}.png")
    return tmp_path / "celeba"


@pytest.fixture(params=["txt", "csv"])
def attributes(request, celeba):
    """The attributes as their authors publish them, and as a table of the same name."""
    names = ["Bald", "Male", "Smiling"]
    rows = [(f"{number + 1:06d}.jpg", -1, MALE[number], SMILING[number]) for number in range(COUNT)]
    if request.param == "txt":
        lines = [str(COUNT), " ".join(names) + " "]
        lines += [f"{name} {bald:2d} {male:2d} {smiling:2d}" for name, bald, male, smiling in rows]
        path = celeba / "Anno" / "list_attr_celeba.txt"
    else:
        lines = [",".join(["image_id", *names])] + [",".join(map(str, row)) for row in rows]
        path = celeba / "list_attr_celeba.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def opened(path, attributes=(), expected=COUNT):
    return open_celeba(path, attributes, expected, lambda line: None)


def test_the_window_is_centered_on_column_89_and_row_121(celeba):
    source = opened(celeba)
    assert (source.count, source.channels, source.resolution) == (COUNT, 3, 128)
    assert source.shuffled and source.labels() is None
    cx, cy = 89, 121
    for index in range(COUNT):
        window = photograph(index)[cy - 64 : cy + 64, cx - 64 : cx + 64]
        image = source.load(index)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, window.transpose(2, 0, 1))


def test_the_folder_of_images_and_an_archive_of_it_are_read_alike(celeba, tmp_path):
    folder = celeba / "img_align_celeba_png"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
    expected = opened(celeba).load(3)
    for path in (folder, tmp_path / "x.zip"):
        np.testing.assert_array_equal(opened(path).load(3), expected)
    data = pickle.dumps(opened(tmp_path / "x.zip"))
    np.testing.assert_array_equal(pickle.loads(data).load(3), expected)


def test_jpegs_are_read_too(tmp_path):
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    Image.new("RGB", (178, 218), (200, 100, 50)).save(folder / "000001.jpg", quality=100)
    image = opened(tmp_path, expected=1).load(0)
    assert np.abs(image[:, 60, 60].astype(int) - (200, 100, 50)).max() <= 2


def test_each_combination_of_the_chosen_attributes_is_a_class(celeba, attributes):
    source = opened(celeba, ("Male", "Smiling"))
    assert source.label_names == (
        "not_Male+not_Smiling",
        "not_Male+Smiling",
        "Male+not_Smiling",
        "Male+Smiling",
    )
    expected = [2 * (male == 1) + (smiling == 1)
                for male, smiling in zip(MALE, SMILING, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(source.labels(), np.eye(4, dtype=np.float32)[expected])
    assert opened(celeba, ("Smiling",)).label_names == ("not_Smiling", "Smiling")


def test_wrong_attributes_are_refused(celeba, attributes):
    with pytest.raises(UserError, match=r"some of Bald, Male, Smiling .* Received: Happy"):
        opened(celeba, ("Happy", "Male"))
    with pytest.raises(UserError, match="at most 8 different names: .* Received: Male,Male"):
        opened(celeba, ("Male", "Male"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("000003.jpg", "000009.jpg", r"says nothing about 000003\.png and 0 others"),
        ("000003.jpg", "000003.jpg x", "row 3 after the names must be an image and 3 times 1 or"),
        ("000003.jpg", "\u00e9", "not a text file"),
    ],
)
def test_a_damaged_attributes_file_is_refused(celeba, attributes, old, new, expected):
    attributes.write_text(attributes.read_text().replace(old, new))
    with pytest.raises(UserError, match=rf"list_attr_celeba\.(txt|csv): {expected}"):
        opened(celeba, ("Male",))


def test_missing_attributes_are_named(celeba):
    with pytest.raises(UserError, match=r"--attributes needs list_attr_celeba\.txt"):
        opened(celeba, ("Male",))


def test_a_set_that_is_not_complete_is_refused_unless_it_is_expected(celeba):
    with pytest.raises(UserError, match="must hold 202599 images, all of CelebA; .* Received: 5"):
        opened(celeba, expected=202_599)
    assert opened(celeba, expected=0).count == COUNT


def test_an_image_of_another_size_is_refused_by_name(celeba):
    Image.new("RGB", (178, 217)).save(celeba / "img_align_celeba_png" / "000002.png")
    with pytest.raises(BadImageError, match=r"000002\.png: must be 178x218 .*Received: 178x217"):
        opened(celeba).load(1)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(UserError, match="no images; looked for .jpeg .jpg .png"):
        opened(tmp_path)
