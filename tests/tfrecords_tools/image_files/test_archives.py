"""Images in archives: read in place, as from a folder, however hostile the archive."""

import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.sources.images import open_images

AUTO = ImagePolicy(channels=0, resolution=0)
NAMES = ("b/2.png", "b/10.png", "a/x.jpg", "a/deep/y.PNG", "c/z.bmp")
KINDS = ("zip", "stored.zip", "tar", "tar.gz", "tgz")


def opened(path, policy=AUTO, use_folders=False, skip=False, workers=1, lines=None):
    say = (lines if lines is not None else []).append
    return open_images(path, policy, use_folders, workers, skip, say)


def encoded(name, size=(20, 17), seed=0):
    pixels = np.random.default_rng([seed, *name.encode()]).integers(0, 256, (*size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, {"jpg": "JPEG"}.get(name[-3:].lower(), name[-3:]))
    return file.getvalue()


def make(path, members):
    """Write an archive of (name, data) pairs, in the format that `path` names."""
    if path.suffix == ".zip":
        method = zipfile.ZIP_STORED if "stored" in path.name else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in members:
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(name))
    return tmp_path / "photos"


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_holds_the_same_images_in_the_same_order_as_its_folder(tmp_path, folder, kind):
    path = make(tmp_path / f"photos.{kind}", [(name, encoded(name)) for name in NAMES])
    expected, source = opened(folder), opened(path)
    assert source.files.names == expected.files.names
    assert source.policy == expected.policy
    for index in (3, 0, 4, 2, 1, 3):
        np.testing.assert_array_equal(source.load(index), expected.load(index))
    assert sorted(os.listdir(tmp_path)) == ["photos", path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_in_an_archive_works_in_another_process(tmp_path, kind):
    source = opened(make(tmp_path / f"photos.{kind}", [(name, encoded(name)) for name in NAMES]))
    expected = source.load(1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).load(1), expected)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "..\\evil.png", "./a/../e.png"]
)
def test_names_that_climb_out_are_only_names(tmp_path, kind, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    source = opened(make(inside / f"x.{kind}", [(name, encoded("a.png"))]))
    assert source.count == 1 and source.load(0).shape == (3, 16, 16)
    assert [entry for _, _, files in os.walk(tmp_path) for entry in files] == [f"x.{kind}"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_hidden_and_other_members_are_left_out(tmp_path, kind):
    members = [("a.png", encoded("a.png")), (".a.png", b""), ("__MACOSX/._a.png", b""),
               ("notes.txt", b"")]  # fmt: skip
    lines = []
    path = make(tmp_path / f"x.{kind}", members)
    assert opened(path, lines=lines).files.names == ("a.png",)
    assert f"Ignored 1 file in {path}, not images by their extension" in lines


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_members_of_one_name_the_last_counts(tmp_path, kind):
    with pytest.warns(UserWarning) if kind == "zip" else open(os.devnull):
        path = make(tmp_path / f"x.{kind}", [("a.png", b"old"), ("a.png", encoded("a.png"))])
    assert opened(path).count == 1


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_classes_are_the_folders_below_the_one_that_holds_all(tmp_path, kind):
    members = [(f"animals/{name}", encoded(name)) for name in NAMES]
    source = opened(make(tmp_path / f"x.{kind}", members), use_folders=True)
    assert source.label_names == ("a", "b", "c")
    source = opened(make(tmp_path / f"y.{kind}", members[:2]), use_folders=True)
    assert source.label_names == ("b",)


def test_an_image_in_no_class_folder_of_an_archive_is_refused(tmp_path):
    path = make(tmp_path / "x.zip", [("cats/1.png", b""), ("stray.png", b"")])
    with pytest.raises(UserError, match=r"x\.zip: stray\.png: in no class folder"):
        opened(path, use_folders=True)


def test_links_in_a_tar_are_followed_only_to_its_own_members(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        data = encoded("a.png")
        info = tarfile.TarInfo("a.png")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
        for name, kind, target in (
            ("hard.png", tarfile.LNKTYPE, "a.png"),
            ("outside.png", tarfile.LNKTYPE, "/etc/passwd"),
            ("soft.png", tarfile.SYMTYPE, "/etc/passwd"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
    source = opened(path)
    assert source.files.names == ("a.png", "hard.png")
    np.testing.assert_array_equal(source.load(0), source.load(1))


def png_bomb(side):
    """A PNG of many pixels in few bytes."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, kind):
    path = make(tmp_path / f"x.{kind}", [("bomb.png", png_bomb(11_000))])
    with pytest.raises(
        BadImageError, match=r"bomb\.png: has 11000x11000 pixels, more than --max_p"
    ):
        opened(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_member_that_unpacks_to_more_than_an_image_takes_is_refused(tmp_path, kind):
    data = encoded("a.png") + bytes(3 << 20)
    path = make(tmp_path / f"x.{kind}", [("a.png", data)])
    few = ImagePolicy(channels=3, resolution=4, max_pixels=1000)
    source = opened(path, few)
    with pytest.raises(BadImageError, match=r"a\.png: unpacks to 31\d* bytes, more than an image"):
        source.load(0)
    assert opened(path, ImagePolicy(channels=3, resolution=4)).load(0).shape == (3, 4, 4)


def test_a_zip_that_lies_about_a_size_yields_no_more_than_it_says(tmp_path):
    path = make(tmp_path / "x.zip", [("a.png", encoded("a.png") + bytes(50 << 20))])
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 2000)
    path.write_bytes(data)
    with pytest.raises(BadImageError, match=r"a\.png: is damaged in the archive: its checksum"):
        opened(path).load(0)


@pytest.mark.parametrize("kind", ["zip", "stored.zip", "tar.gz"])
def test_a_damaged_archive_is_refused_by_name(tmp_path, kind):
    noise = [(f"{number}.png", encoded("a.png", (60, 60), number)) for number in range(9)]
    path = make(tmp_path / f"x.{kind}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=rf"x\.{kind}: damaged or no such archive"):
        opened(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"x\.{kind}: damaged or no such archive"):
        opened(path)


def test_a_truncated_tar_is_refused(tmp_path):
    path = make(tmp_path / "x.tar", [("a.png", encoded("a.png", (60, 60)))])
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(UserError, match=r"x\.tar: damaged or no such archive: unexpected end"):
        opened(path)


def test_a_flipped_byte_in_a_zip_is_found_and_may_be_skipped(tmp_path):
    pixels = encoded("a.bmp", (40, 40))
    path = make(tmp_path / "x.stored.zip", [("a.bmp", pixels), ("b.bmp", pixels)])
    data = bytearray(path.read_bytes())
    data[data.index(pixels) + 3000] ^= 1
    path.write_bytes(data)
    damaged = r"a\.bmp: is damaged in the archive: its checksum"
    with pytest.raises(BadImageError, match=damaged):
        opened(path)
    source = opened(path, skip=True)
    with pytest.raises(BadImageError, match=damaged):
        source.load(0)
    source.load(1)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = make(tmp_path / "x.zip", [("a.png", encoded("a.png"))])
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.png is encrypted"):
        opened(path)


def test_other_compression_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.png", encoded("a.png"))
    with pytest.raises(UserError, match=r"must be stored or deflated\. Received: method 12"):
        opened(path)
    (tmp_path / "x.tar.bz2").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"x\.tar\.bz2: not a folder; expected a folder, or an arch"
    ):
        opened(tmp_path / "x.tar.bz2")


def test_an_archive_without_images_is_refused(tmp_path):
    path = make(tmp_path / "x.zip", [("notes.txt", b"")])
    with pytest.raises(UserError, match=r"x\.zip: no images; .*Received: 1 other files"):
        opened(path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_header_without_end_is_refused(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
        info = tarfile.TarInfo("long")
        info.type, info.size = tarfile.XHDTYPE, 1 << 28
        archive.addfile(info, io.BytesIO(bytes(1 << 28)))
    with pytest.raises(UserError, match="damaged or no such archive: a header of"):
        opened(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_in_place_of_an_archive_is_refused(tmp_path, kind):
    os.mkfifo(tmp_path / f"x.{kind}")
    with pytest.raises(UserError, match="must be a file. Received: a pipe"):
        opened(tmp_path / f"x.{kind}")
