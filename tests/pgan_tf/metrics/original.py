"""Images, and what the original implementation measures of them (see golden/)."""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent.parent / "golden" / "metrics_64.npz"


def load():
    """All arrays, images as `[n h w c]`."""
    with np.load(GOLDEN) as archive:
        arrays = dict(archive)
    return {k: v.transpose(0, 2, 3, 1) if v.ndim == 4 else v for k, v in arrays.items()}
