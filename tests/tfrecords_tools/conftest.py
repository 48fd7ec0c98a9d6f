"""Fixtures for the tests of tfrecords_tools."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.golden import GOLDEN
from tfrecords_tools.sources.base import EightBitSquares
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid


@dataclasses.dataclass(frozen=True)
class ArraySource(EightBitSquares):
    """Images that are there already, [n C H W] uint8."""

    images: np.ndarray
    one_hot: np.ndarray | None = None
    shuffled: bool = True
    label_names: tuple[str, ...] | None = None

    @property
    def count(self):
        return len(self.images)

    @property
    def channels(self):
        return self.images.shape[1]

    @property
    def resolution(self):
        return self.images.shape[2]

    def labels(self):
        return self.one_hot

    def load(self, index):
        return self.images[index]

    def describe(self):
        return {"kind": "array"}


@pytest.fixture(scope="session")
def array_source():
    """The class: `array_source(images, labels)`."""
    return ArraySource


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a pyramid silently and returns its directory."""

    def write(source, name="pyramid", **options):
        options.setdefault("shuffle", source.shuffled)
        write_pyramid(source, tmp_path / name, WriteOptions(**options), {}, lambda line: None)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def golden():
    """The original implementation's pyramid."""
    return GOLDEN / "original_pyramid"


@pytest.fixture
def golden_copy(tmp_path):
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(GOLDEN / "original_pyramid", tmp_path / "original_pyramid"))


@pytest.fixture
def random_images():
    """Return a function that draws noise, [count channels resolution resolution] uint8."""

    def random_images(count, channels, resolution, seed=0):
        shape = (count, channels, resolution, resolution)
        return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)

    return random_images


@pytest.fixture
def saved(tmp_path):
    """Function that saves an image or array with Pillow's options and returns its path."""

    def saved(image, name="x.png", **options):
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return saved
