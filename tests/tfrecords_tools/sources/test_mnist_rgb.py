"""MNIST-RGB: three digits as red, green and blue."""

import pickle
import struct

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.mnist_rgb import open_mnist_rgb

DIGITS = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)


@pytest.fixture
def folder(tmp_path):
    head = struct.pack(">IIII", 0x803, *DIGITS.shape)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(head + DIGITS.tobytes())
    return tmp_path


def test_each_image_is_three_digits_drawn_as_the_original_draws_them(folder):
    source = open_mnist_rgb(folder, "train", 400)
    assert (source.count, source.channels, source.resolution) == (400, 3, 32)
    assert source.labels() is None and source.label_names is None and not source.shuffled
    random = np.random.RandomState(123)
    padded = np.pad(DIGITS, [(0, 0), (2, 2), (2, 2)])
    for index in range(400):
        np.testing.assert_array_equal(source.load(index), padded[random.randint(50, size=3)])


def test_a_larger_set_begins_with_a_smaller_one(folder):
    few, many = open_mnist_rgb(folder, "train", 5), open_mnist_rgb(folder, "train", 999)
    np.testing.assert_array_equal(few.load(4), many.load(4))


def test_a_million_is_the_default(folder):
    source = open_mnist_rgb(folder, "train", None)
    assert source.count == 1_000_000
    assert source.load(999_999).shape == (3, 32, 32)
    assert len(pickle.dumps(source)) < 2000


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no MNIST files; expected train-images-idx3-ubyte"):
        open_mnist_rgb(tmp_path, "train", None)
