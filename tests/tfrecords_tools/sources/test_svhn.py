"""SVHN's MATLAB files, written here by scipy."""

import builtins
import pickle

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.svhn import open_svhn

scipy_io = pytest.importorskip("scipy.io")

LABELS = np.array([10, 1, 9, 5, 10, 2], np.uint8)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3, 6), np.uint8)


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def folder(request, tmp_path, pixels):
    content = {"X": pixels, "y": LABELS[:, None]}
    scipy_io.savemat(tmp_path / "train_32x32.mat", content, do_compression=request.param)
    return tmp_path


def test_images_are_turned_to_channels_first_and_label_10_is_digit_0(folder, pixels):
    source = open_svhn(folder, "train", with_labels=True)
    assert (source.count, source.channels, source.resolution) == (6, 3, 32)
    assert source.shuffled
    for index in range(6):
        image = source.load(index)
        assert image.dtype == np.uint8
        for channel in range(3):
            np.testing.assert_array_equal(image[channel], pixels[:, :, channel, index])
    np.testing.assert_array_equal(source.labels(), np.eye(10, dtype=np.float32)[[0, 1, 9, 5, 0, 2]])
    assert source.label_names == tuple("0123456789")


def test_a_file_may_be_named_and_labels_left_out(folder):
    source = open_svhn(folder / "train_32x32.mat", "train", with_labels=False)
    assert source.count == 6 and source.labels() is None


def test_each_process_decodes_for_itself(folder):
    source = open_svhn(folder, "train", with_labels=True)
    data = pickle.dumps(source)
    assert len(data) < 3072
    np.testing.assert_array_equal(pickle.loads(data).load(3), source.load(3))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"extra_32x32\.mat: no such file; expected SVHN's cropped"):
        open_svhn(tmp_path, "extra", with_labels=True)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"z": 1}, r"X must be uint8 \[32, 32, 3, n\]. Received: none"),
        ({"X": np.zeros((32, 32, 3, 2))}, r"X must be .* Received: float64 \[32, 32, 3, 2\]"),
        (
            {"X": np.zeros((2, 3, 32, 32), np.uint8)},
            r"X must be .* Received: uint8 \[2, 3, 32, 32\]",
        ),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, r"y must be \[2, 1\]. Received: none"),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], [2], [3]])},
            r"y must be \[2, 1\]. Received: .* \[3, 1\]",
        ),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[0], [2]])},
            "y must hold 1 to 10, of which 10 is the digit 0. Received: .* 0 to 2",
        ),
    ],
)
def test_wrong_contents_are_refused(tmp_path, content, expected):
    scipy_io.savemat(tmp_path / "train_32x32.mat", content)
    with pytest.raises(UserError, match=rf"train_32x32\.mat: {expected}"):
        open_svhn(tmp_path, "train", with_labels=True)


@pytest.mark.parametrize("keep", [0, 60, 2000])
def test_a_damaged_file_is_refused(folder, keep):
    path = folder / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"train_32x32\.mat: "):
        open_svhn(folder, "train", with_labels=True)


def test_without_scipy_the_extra_is_named(folder, monkeypatch):
    def no_scipy(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError("No module named 'scipy'")
        return builtins.__import__(name, *args, **kwargs)

    monkeypatch.setattr("tfrecords_tools.extras.importlib.import_module", no_scipy)
    with pytest.raises(UserError, match=r"pip install 'pgan_tf\[svhn\]'"):
        open_svhn(folder, "train", with_labels=True)
