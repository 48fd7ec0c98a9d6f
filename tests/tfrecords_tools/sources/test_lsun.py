"""LMDB databases, written here by lmdb and Pillow."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.sources.lsun import open_lsun

lmdb = pytest.importorskip("lmdb")
MAX_PIXELS = 100_000_000


def encoded(seed, size, kind="WEBP"):
    """A losslessly encoded image of noise, `size` wide and high, and its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue(), pixels


def make(path, items):
    database = lmdb.open(str(path), map_size=1 << 26)
    with database.begin(write=True) as transaction:
        for key, value in items:
            transaction.put(key, value)
    database.close()
    return path


@pytest.fixture
def database(tmp_path):
    """A database with images of several sizes, not inserted in the order of their keys."""
    sizes = [(70, 64), (64, 64), (64, 99), (65, 65), (90, 81)]
    items = [(b"%02d" % (7 * number % 5), encoded(number, size)[0])
             for number, size in enumerate(sizes)]  # fmt: skip
    return make(tmp_path / "bedroom_train_lmdb", items)


def expected_image(seed, size, resolution):
    """The original's result: a center crop in NumPy, then Pillow's Lanczos filter."""
    pixels = encoded(seed, size)[1]
    height, width = pixels.shape[:2]
    side = min(height, width)
    rows = slice((height - side) // 2, (height + side) // 2)
    columns = slice((width - side) // 2, (width + side) // 2)
    square = Image.fromarray(np.ascontiguousarray(pixels[rows, columns]))
    scaled = square.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.asarray(scaled).transpose(2, 0, 1)


@pytest.mark.parametrize("resolution", [64, 32, 128])
def test_images_are_in_key_order_cropped_to_the_center_and_scaled(database, resolution):
    source = open_lsun(database, resolution, None, MAX_PIXELS)
    assert (source.count, source.channels, source.resolution) == (5, 3, resolution)
    assert source.labels() is None and not source.shuffled
    sizes = [(70, 64), (64, 64), (64, 99), (65, 65), (90, 81)]
    in_key_order = sorted(range(5), key=lambda number: 7 * number % 5)
    for index in (0, 1, 2, 3, 4, 2, 0, 4):
        number = in_key_order[index]
        image = source.load(index)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, expected_image(number, sizes[number], resolution))


def test_images_are_found_from_the_nearest_landmark(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.sources.lsun._SPACING", 4)
    items = [(b"%04d" % number, encoded(number, (4, 4), "PNG")[0]) for number in range(23)]
    source = open_lsun(make(tmp_path / "x", items), 4, None, MAX_PIXELS)
    assert source.landmarks == (b"0000", b"0004", b"0008", b"0012", b"0016", b"0020")
    for index in (22, 0, 1, 2, 3, 4, 5, 19, 11, 12, 7, 7):
        expected = encoded(index, (4, 4))[1].transpose(2, 0, 1)
        np.testing.assert_array_equal(source.load(index), expected)


def test_a_few_images_are_taken_without_walking_through_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.sources.lsun._SPACING", 1)
    items = [(b"%04d" % number, b"") for number in range(100)]
    path = make(tmp_path / "x", items)
    source = open_lsun(path, 4, 3, MAX_PIXELS)
    assert source.count == 3 and source.landmarks == (b"0000", b"0001", b"0002")
    assert open_lsun(path, 4, 101, MAX_PIXELS).count == 100


def test_each_process_opens_the_database_for_itself(database):
    source = open_lsun(database, 64, None, MAX_PIXELS)
    data = pickle.dumps(source)
    expected = source.load(3)
    source._reader.close()  # a process opens a database once
    np.testing.assert_array_equal(pickle.loads(data).load(3), expected)


def test_a_database_may_be_one_file_and_on_a_read_only_disk(tmp_path):
    path = tmp_path / "x.mdb"
    database = lmdb.open(str(path), subdir=False, map_size=1 << 26)
    with database.begin(write=True) as transaction:
        transaction.put(b"0", encoded(0, (4, 4))[0])
    database.close()
    (tmp_path / "x.mdb-lock").unlink()
    assert open_lsun(path, 4, None, MAX_PIXELS).load(0).shape == (3, 4, 4)
    assert not (tmp_path / "x.mdb-lock").exists()


def test_gray_images_become_rgb(tmp_path):
    file = io.BytesIO()
    Image.new("L", (8, 8), 77).save(file, "JPEG")
    source = open_lsun(make(tmp_path / "x", [(b"0", file.getvalue())]), 8, None, MAX_PIXELS)
    np.testing.assert_array_equal(source.load(0), np.full((3, 8, 8), 77))


def test_a_bad_image_is_named_by_its_key(tmp_path):
    items = [(b"0a", b"nothing"), (b"0b", encoded(0, (8, 8))[0]), (b"\xff", b"")]
    source = open_lsun(make(tmp_path / "x", items), 8, None, 63)
    with pytest.raises(BadImageError, match="x: 0a: is not an image"):
        source.load(0)
    with pytest.raises(BadImageError, match="x: 0b: has 8x8 pixels, more than --max_pixels=63"):
        source.load(1)
    with pytest.raises(BadImageError, match=r"x: \\xff: is not an image"):
        source.load(2)


def test_what_is_no_database_is_refused(tmp_path):
    with pytest.raises(UserError, match="no LMDB database; expected a folder with data.mdb"):
        open_lsun(tmp_path, 8, None, MAX_PIXELS)
    with pytest.raises(UserError, match="nowhere: no LMDB database"):
        open_lsun(tmp_path / "nowhere", 8, None, MAX_PIXELS)
    for content in (b"", b"nothing of the sort" * 1000):
        (tmp_path / "data.mdb").write_bytes(content)
        with pytest.raises(UserError, match="damaged or no LMDB database"):
            open_lsun(tmp_path, 8, None, MAX_PIXELS)
    with pytest.raises(UserError, match="y: an empty database"):
        open_lsun(make(tmp_path / "y", []), 8, None, MAX_PIXELS)


def test_a_truncated_database_is_refused_before_it_is_read(database):
    path = database / "data.mdb"
    path.write_bytes(path.read_bytes()[:-8192])
    with pytest.raises(UserError, match=r"data\.mdb: truncated: \d+ bytes expected"):
        open_lsun(database, 8, None, MAX_PIXELS)


def test_without_lmdb_the_extra_is_named(database, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("tfrecords_tools.extras.importlib.import_module", missing)
    with pytest.raises(UserError, match=r"needs lmdb, .* pip install 'pgan_tf\[lmdb\]'"):
        open_lsun(database, 8, None, MAX_PIXELS)
