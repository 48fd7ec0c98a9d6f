"""Fixtures for the tests of sources."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def saved(tmp_path):
    """Function that saves an image or array with Pillow's options and returns its path."""

    def saved(image, name="x.png", **options):
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return saved
