"""CIFAR's pickles, written here by pickle."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources import cifar
from tfrecords_tools.sources.cifar import open_cifar

TEN = [f"class{number}" for number in range(10)]
HUNDRED = [f"fine{number}" for number in range(100)]


def dump(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def batch(seed, count=4):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 3072), np.uint8)
    return {"data": pixels, "labels": random.integers(0, 10, count).tolist()}


@pytest.fixture
def cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    for number in range(1, 6):
        dump(folder / f"data_batch_{number}", batch(number))
    dump(folder / "test_batch", batch(6, 3))
    dump(folder / "batches.meta", {"label_names": TEN})
    return folder


@pytest.fixture
def cifar100(tmp_path):
    folder = tmp_path / "cifar-100-python"
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (5, 3072), np.uint8)
    content = {"data": pixels, "fine_labels": [99, 0, 5, 7, 7], "coarse_labels": [1, 2, 3, 4, 4]}
    dump(folder / "train", content)
    dump(folder / "meta", {"fine_label_names": HUNDRED, "coarse_label_names": ["x"] * 20})
    return folder, pixels


def planes(rows):
    """Red, green and blue planes of each row of 3072 bytes, row by row."""
    return np.stack(
        [rows[:, start : start + 1024].reshape(-1, 32, 32) for start in (0, 1024, 2048)], 1
    )


def test_the_five_batches_follow_each_other(cifar10):
    source = open_cifar(cifar10, "cifar10", "train", with_labels=True)
    assert (source.count, source.channels, source.resolution) == (20, 3, 32)
    assert source.shuffled
    expected = planes(np.concatenate([batch(number)["data"] for number in range(1, 6)]))
    for index in range(20):
        image = source.load(index)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, expected[index])
    classes = [label for number in range(1, 6) for label in batch(number)["labels"]]
    np.testing.assert_array_equal(source.labels(), np.eye(10, dtype=np.float32)[classes])
    assert source.label_names == tuple(TEN)


def test_the_test_split_and_no_labels(cifar10):
    source = open_cifar(cifar10, "cifar10", "test", with_labels=False)
    assert source.count == 3 and source.labels() is None and source.label_names is None


def test_of_cifar100_the_fine_labels_are_taken(cifar100):
    folder, pixels = cifar100
    source = open_cifar(folder, "cifar100", "train", with_labels=True)
    assert source.count == 5 and source.label_names == tuple(HUNDRED)
    np.testing.assert_array_equal(source.labels().argmax(1), [99, 0, 5, 7, 7])
    assert source.labels().shape == (5, 100)
    np.testing.assert_array_equal(source.load(2), planes(pixels)[2])


def test_the_folder_above_and_the_published_archive_are_read_alike(cifar10, tmp_path):
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(cifar10, "cifar-10-batches-py")
    expected = open_cifar(cifar10, "cifar10", "train", with_labels=True)
    for path in (tmp_path, tmp_path / "cifar-10-python.tar.gz"):
        source = open_cifar(path, "cifar10", "train", with_labels=True)
        np.testing.assert_array_equal(source.labels(), expected.labels())
        np.testing.assert_array_equal(source.load(17), expected.load(17))
        assert source.label_names == expected.label_names
    assert len(list(tmp_path.iterdir())) == 2


def test_without_the_file_of_names_classes_are_numbers(cifar10):
    (cifar10 / "batches.meta").unlink()
    source = open_cifar(cifar10, "cifar10", "train", with_labels=True)
    assert source.label_names == tuple("0123456789")


def test_each_process_decodes_for_itself(cifar10):
    source = open_cifar(cifar10, "cifar10", "train", with_labels=True)
    data = pickle.dumps(source)
    assert len(data) < 3072
    np.testing.assert_array_equal(pickle.loads(data).load(3), source.load(3))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([1, 2], "must be a dictionary with 'data'. Received: list"),
        ({"labels": [1]}, r"must be a dictionary with 'data'. Received: \['labels'\]"),
        ({"data": "x", "labels": []}, r"must be uint8 \[n, 3072\]. Received: str"),
        (
            {"data": np.zeros((2, 3071), np.uint8), "labels": [0, 1]},
            r"must be uint8 \[n, 3072\]. Received: uint8 \[2, 3071\]",
        ),
        (
            {"data": np.zeros((2, 3072), np.float32), "labels": [0, 1]},
            r"Received: float32 \[2, 3072\]",
        ),
        ({"data": np.zeros((2, 3072), np.uint8)}, "must be a dictionary with 'labels'"),
        (
            {"data": np.zeros((2, 3072), np.uint8), "labels": [0]},
            r"must hold 2 labels, one for each image. Received: int64 \[1\]",
        ),
        (
            {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 10]},
            r"labels must be in 0..9. Received: 0..10",
        ),
        (
            {"data": np.zeros((2, 3072), np.uint8), "labels": [[1], [2, 3]]},
            "must hold 2 labels",
        ),
    ],
)
def test_a_wrong_batch_is_refused_by_name(cifar10, content, expected):
    dump(cifar10 / "data_batch_3", content)
    with pytest.raises(UserError, match=f"data_batch_3: .*{expected}"):
        open_cifar(cifar10, "cifar10", "train", with_labels=True)


def test_missing_files_are_named(cifar10, tmp_path):
    (cifar10 / "data_batch_4").unlink()
    with pytest.raises(UserError, match="no data_batch_4; expected data_batch_1, "):
        open_cifar(cifar10, "cifar10", "train", with_labels=True)
    with pytest.raises(UserError, match=r"nowhere: no such file or folder; expected cifar-10-bat"):
        open_cifar(tmp_path / "nowhere", "cifar10", "train", with_labels=True)
    (tmp_path / "x.tar.gz").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"x\.tar\.gz: damaged, or neither"):
        open_cifar(tmp_path / "x.tar.gz", "cifar10", "train", with_labels=True)


def test_an_archive_that_unpacks_without_end_is_refused(cifar10, monkeypatch):
    monkeypatch.setattr(cifar, "_MAX_BYTES", 1 << 16)
    with tarfile.open(cifar10.parent / "x.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        info.size = 1 << 20
        archive.addfile(info, io.BytesIO(bytes(1 << 20)))
    with pytest.raises(UserError, match=r"x\.tar\.gz: unpacks to more than 65536 bytes"):
        open_cifar(cifar10.parent / "x.tar.gz", "cifar10", "train", True)


@pytest.mark.parametrize("kind", ["xz", "bz2"])
def test_an_archive_of_another_compression_is_refused(cifar10, kind):
    path = cifar10.parent / f"x.tar.{kind}"
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(cifar10, "cifar-10-batches-py")
    for data in (path.read_bytes(), path.read_bytes()[:60] + b"\0" * 60):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged, or neither a folder nor a .tar.gz"):
            open_cifar(path, "cifar10", "train", True)
