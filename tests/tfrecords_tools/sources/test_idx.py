"""IDX files, written here with struct and gzip."""

import gzip
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.idx import open_idx, read_idx

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array, kind=8):
    head = struct.pack(">BBBB", 0, 0, kind, array.ndim)
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)


@pytest.fixture
def labels():
    return np.array([3, 0, 9, 1, 1, 2], np.uint8)


@pytest.fixture(params=["raw", "gz"])
def folder(request, tmp_path, images, labels):
    for name, array in ((IMAGES, images), (LABELS, labels)):
        data = idx(array)
        if request.param == "gz":
            name, data = f"{name}.gz", gzip.compress(data)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def opened(path, split="train", labels=None, names=None):
    return open_idx(path, split, labels, names)


def test_images_of_28_are_padded_by_two_zeros_on_each_side(folder, images):
    source = opened(folder)
    assert (source.count, source.channels, source.resolution) == (6, 1, 32)
    expected = np.pad(images, [(0, 0), (2, 2), (2, 2)])
    for index in range(6):
        image = source.load(index)
        assert image.dtype == np.uint8 and image.shape == (1, 32, 32)
        np.testing.assert_array_equal(image[0], expected[index])


def test_labels_are_one_hot(folder, labels):
    source = opened(folder)
    assert source.label_names == tuple("0123456789")
    assert source.labels().dtype == np.float32
    np.testing.assert_array_equal(source.labels(), np.eye(10)[labels])


def test_an_images_file_is_opened_with_the_labels_beside_it(folder):
    (path,) = folder.glob("*images*")
    assert opened(path).label_names == tuple("0123456789")


def test_compressed_images_go_with_plain_labels(tmp_path, images, labels):
    (tmp_path / f"{IMAGES}.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / LABELS).write_bytes(idx(labels))
    assert opened(tmp_path).labels().shape == (6, 10)


def test_labels_may_be_left_out(folder):
    source = opened(folder, labels=False)
    assert source.labels() is None and source.label_names is None


def test_labels_may_be_missing_unless_they_are_asked_for(tmp_path, images):
    (tmp_path / IMAGES).write_bytes(idx(images))
    assert opened(tmp_path).labels() is None
    with pytest.raises(UserError, match="--labels=classes needs a labels file beside it"):
        opened(tmp_path, labels=True)
    with pytest.raises(UserError, match="--label_names needs labels"):
        opened(tmp_path, names=("a", "b"))


def test_classes_may_be_named(folder):
    names = tuple("abcdefghij")
    assert opened(folder, names=names).label_names == names
    with pytest.raises(UserError, match=r"--label_names must name 10 classes\. Received: a,b"):
        opened(folder, names=("a", "b"))


def test_the_test_split_is_the_other_pair_of_files(tmp_path, images):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images[:2]))
    assert opened(tmp_path, split="test").count == 2
    with pytest.raises(UserError, match="no MNIST files; expected train-images-idx3-ubyte"):
        opened(tmp_path)


@pytest.mark.parametrize(("side", "padded"), [(2, 4), (4, 4), (16, 16), (17, 32), (64, 64)])
def test_other_sizes_are_padded_to_the_next_power_of_two(tmp_path, side, padded):
    (tmp_path / IMAGES).write_bytes(idx(np.full((1, side, side), 7, np.uint8)))
    source = opened(tmp_path)
    image = source.load(0)
    assert source.resolution == padded and (image == 7).sum() == side * side


def test_each_process_reads_the_pixels_for_itself(folder, images):
    source = opened(folder)
    source.load(0)
    data = pickle.dumps(source)
    assert len(data) < images.nbytes
    np.testing.assert_array_equal(pickle.loads(data).load(5), source.load(5))


def test_missing_inputs_are_named(tmp_path):
    with pytest.raises(UserError, match="nothing: no such file or folder"):
        opened(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Received: nothing"),
        (b"\x89PNG", "must begin with 00 00 08 03. Received: 89 50 4e 47"),
        (idx(np.zeros(3, np.uint8)), "Received: 00 00 08 01"),
        (idx(np.zeros((1, 2, 2), np.float32), kind=13), "Received: 00 00 0d 03"),
        (idx(np.zeros((2, 4, 4), np.uint8))[:-1], "says 48 bytes. Received: 47 bytes"),
        (idx(np.zeros((2, 4, 4), np.uint8)) + b"x", "says 48 bytes. Received: 49 bytes"),
        (idx(np.zeros((2, 4, 4), np.uint8))[:9], "truncated"),
        (gzip.compress(idx(np.zeros((2, 4, 4), np.uint8)), mtime=0)[:-9], "damaged"),
        (gzip.compress(b"x" * 99, mtime=0)[:20] + b"\0" * 9, "damaged"),
        (idx(np.zeros((0, 4, 4), np.uint8)), "holds no images"),
    ],
)
def test_a_damaged_images_file_is_refused_by_name(tmp_path, content, expected):
    (tmp_path / IMAGES).write_bytes(content)
    with pytest.raises(UserError, match=f"{IMAGES}: .*{expected}"):
        opened(tmp_path)


def test_labels_of_another_count_are_refused(tmp_path, images, labels):
    (tmp_path / IMAGES).write_bytes(idx(images))
    (tmp_path / LABELS).write_bytes(idx(labels[:5]))
    with pytest.raises(UserError, match=f"{LABELS}: must hold 6 labels, .* Received: 5"):
        opened(tmp_path)


def test_a_plain_file_is_mapped_and_not_read(tmp_path, images):
    (tmp_path / IMAGES).write_bytes(idx(images))
    assert not read_idx(tmp_path / IMAGES, 3).flags.owndata


def test_no_more_is_unpacked_than_the_header_says(tmp_path):
    array = idx(np.zeros((2, 4, 4), np.uint8))
    (tmp_path / f"{IMAGES}.gz").write_bytes(gzip.compress(array + bytes(1 << 28), mtime=0))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="says 48 bytes. Received: 49 bytes"):
            opened(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_a_header_that_announces_more_than_the_file_unpacks_to_is_refused(tmp_path):
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    (tmp_path / f"{IMAGES}.gz").write_bytes(gzip.compress(header + bytes(1 << 12), mtime=0))
    with pytest.raises(UserError, match=f"{IMAGES}.gz: "):
        opened(tmp_path)


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path, images):
    (tmp_path / IMAGES).write_bytes(idx(images))
    source = opened(tmp_path)
    source.load(0)
    os.truncate(tmp_path / IMAGES, 100)
    with pytest.raises(UserError, match=f"{IMAGES}: has been cut short"):
        source.load(5)
