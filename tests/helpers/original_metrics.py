"""Images, and what the original implementation measures of them (see golden/)."""

import numpy as np

from tests.helpers.golden import GOLDEN


def load():
    """All arrays, images as `[n h w c]`."""
    with np.load(GOLDEN / "metrics_64.npz") as archive:
        arrays = dict(archive)
    return {k: v.transpose(0, 2, 3, 1) if v.ndim == 4 else v for k, v in arrays.items()}
