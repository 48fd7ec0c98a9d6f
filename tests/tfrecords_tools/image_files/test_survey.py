"""The survey of image files: their facts, and bad ones among them."""

import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.helpers.pictures import noise
from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files import survey
from tfrecords_tools.image_files.archives import open_files
from tfrecords_tools.image_files.decoding import EXTENSIONS
from tfrecords_tools.image_files.survey import survey_files


def put(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)


def surveyed(path, skip=False):
    return survey_files(open_files(path, EXTENSIONS, lambda line: None), skip_bad_images=skip)


@pytest.fixture
def folder(tmp_path):
    """Good images of every kind."""
    put(tmp_path / "set" / "a.png", noise(4, 6, 3))
    put(tmp_path / "set" / "b" / "gray.png", noise(5, 5))
    put(tmp_path / "set" / "c.png", np.dstack([noise(4, 6, 3), np.full((4, 6), 7, np.uint8)]))
    put(tmp_path / "set" / "opaque.png", np.dstack([noise(4, 6, 3), np.full((4, 6), 255, "B")]))
    turned = Image.Exif()
    turned[0x0112] = 6
    put(tmp_path / "set" / "turned.jpg", noise(4, 6, 3), exif=turned)
    put(tmp_path / "set" / "wide.png", noise(4, 6, dtype=np.uint16))
    Image.new("CMYK", (6, 4)).save(tmp_path / "set" / "print.jpg")
    Image.new("P", (6, 4)).save(tmp_path / "set" / "palette.gif")
    (tmp_path / "set" / ".DS_Store").write_bytes(b"x")
    return tmp_path / "set"


def test_facts_are_those_of_decoded_images(folder):
    found = surveyed(folder)
    names = [found.files.names[index] for index in found.indices]
    assert names == ["a.png", "b/gray.png", "c.png", "opaque.png", "palette.gif", "print.jpg",
                     "turned.jpg", "wide.png"]  # fmt: skip
    assert found.sizes.tolist() == [[4, 6], [5, 5], *[[4, 6]] * 4, [6, 4], [4, 6]]
    assert found.gray.tolist() == [False, True, *[False] * 5, True]
    assert found.transparent.tolist() == [False, False, True, *[False] * 5]
    assert (found.channels, found.common_size, found.skipped) == (4, None, 0)
    left = found.without(np.array([size != [4, 6] for size in found.sizes.tolist()]))
    assert (left.common_size, left.count, left.skipped) == ((4, 6), 6, 2)


@pytest.mark.parametrize("change", ["pixels", "name", "fewer"])
def test_the_digest_changes_with_the_images_and_with_nothing_else(folder, tmp_path, change):
    before = surveyed(folder).digest
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    os.utime(copy / "a.png", (0, 0))
    assert surveyed(copy).digest == before
    if change == "pixels":
        stamp = (copy / "a.png").stat()
        content = (copy / "a.png").read_bytes()
        put(copy / "a.png", noise(4, 6, 3, seed=1))
        assert (copy / "a.png").stat().st_size == len(content)  # so that only bytes differ
        os.utime(copy / "a.png", (stamp.st_atime, stamp.st_mtime))
    elif change == "name":
        (copy / "a.png").rename(copy / "aa.png")
    else:
        (copy / "a.png").unlink()
    assert surveyed(copy).digest != before


def test_an_archive_is_surveyed_as_its_folder(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    in_folder, in_archive = surveyed(folder), surveyed(tmp_path / "set.zip")
    assert in_archive.digest == in_folder.digest
    np.testing.assert_array_equal(in_archive.sizes, in_folder.sizes)


def test_several_processes_find_the_same(folder, monkeypatch):
    expected = surveyed(folder)
    monkeypatch.setattr(survey, "_CHUNK", 1)
    monkeypatch.setattr(survey, "_CHUNKS_PER_WORKER", 1)
    monkeypatch.setattr(survey, "core_count", lambda: 2)
    found = surveyed(folder)
    assert found.digest == expected.digest
    np.testing.assert_array_equal(found.transparent, expected.transparent)


def test_bad_images_are_refused_by_the_first_and_their_number_or_skipped(folder):
    good = surveyed(folder)
    (folder / "0.png").write_text("no image")
    with pytest.raises(UserError, match=r"0\.png: is not an image, or damaged; --skip_bad_images "
                                        "leaves it out"):  # fmt: skip
        surveyed(folder)
    (folder / "zero.png").write_bytes(b"")
    whole = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("F", (4, 4)).save(folder / "float.tif")
    with pytest.raises(UserError, match=r"0\.png: is not an image, or damaged \(4 such files in "):
        surveyed(folder)
    found = surveyed(folder, skip=True)
    assert (found.skipped, found.count, found.digest) == (4, good.count, good.digest)


def test_bad_images_alone_are_refused_even_when_skipped(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"x")
    for skip in (False, True):
        with pytest.raises(UserError, match="none of its 2 image files can be used: 2: is not an"):
            surveyed(tmp_path, skip)


def test_no_flag_is_named_that_a_comparison_does_not_have(folder, monkeypatch):
    small = survey._POLICY.__class__(channels=4, resolution=4, crop="none", max_pixels=24)
    monkeypatch.setattr(survey, "_POLICY", small)
    with pytest.raises(UserError, match=r"gray\.png: has 5x5 pixels, more than 24; --skip"):
        surveyed(folder)


def test_settings_of_pillow_are_restored_after_threads(folder):
    import threading

    from tfrecords_tools.image_files.decoding import open_image

    limit, entered, left = Image.MAX_IMAGE_PIXELS, threading.Event(), threading.Event()

    def hold():
        with open_image(folder / "a.png", "a", None):
            entered.set()
            left.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    entered.wait(10)
    with open_image(folder / "c.png", "c", None):
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS is None  # the other thread still decodes
    left.set()
    other.join()
    assert limit == Image.MAX_IMAGE_PIXELS
