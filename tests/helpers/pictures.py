"""Pictures for tests of image files."""

import numpy as np


def noise(*shape, seed=0, dtype=np.uint8):
    """Random integers of the whole range of a type."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)
