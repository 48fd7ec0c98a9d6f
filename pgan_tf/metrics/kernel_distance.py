"""The kernel distance between two sets of features, known as KID on Inception's.

Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4.
"""

import math

import numpy as np

from pgan_tf.metrics.features import require_matrix, require_same_width
from tfrecords_tools.errors import UserError


def kernel_distance(
    a: np.ndarray, b: np.ndarray, *, seed: int, subsets: int = 100, subset_size: int = 1000
) -> tuple[float, float]:
    """Estimate the squared maximum mean discrepancy with the kernel `(x.y / d + 1)^3`.

    Each subset has as many images of `a` as of `b`, without repetition.

    Args:
      a: `[n d]` features.
      b: `[m d]` features.
      seed: of the choice of subsets.
      subsets: number of estimates.
      subset_size: images of each set per estimate; fewer if a set has fewer. If a subset is all of
        both sets, there is one estimate.

    Returns:
      Mean and standard deviation over the subsets, not multiplied by 1000 as is often done. The
      estimate is unbiased, so it may be negative if the sets are similar. The deviation is NaN if
      each subset is all of a set: how it varies with the images of that set is unknown then.

    Raises:
      UserError: a set has fewer than two images, the two differ in d, or are not finite.
    """
    if subsets < 1 or subset_size < 2:
        raise UserError(
            "the kernel distance needs at least 1 subset of at least 2 images."
            f" Received: {subsets} of {subset_size}"
        )
    a = require_matrix(a, "features of the kernel distance", least=2)
    b = require_matrix(b, "features of the kernel distance", least=2)
    require_same_width(a, b, "the kernel distance")
    size = min(subset_size, len(a), len(b))
    if size == len(a) == len(b):
        subsets = 1  # all of them would be the same
    rng = np.random.default_rng(seed)
    estimates = [
        _unbiased_mmd(
            a[rng.choice(len(a), size, replace=False)].astype(np.float64),
            b[rng.choice(len(b), size, replace=False)].astype(np.float64),
        )
        for _ in range(subsets)
    ]
    varied = size < min(len(a), len(b))
    return float(np.mean(estimates)), float(np.std(estimates)) if varied else math.nan


def _unbiased_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Return the unbiased estimate of the squared discrepancy of two sets of features `[n d]`."""
    pairs = len(a) * (len(a) - 1)
    within_a, within_b = _kernel(a, a), _kernel(b, b)
    # The kernel of a feature with itself would bias the estimate.
    within = within_a.sum() - np.trace(within_a) + within_b.sum() - np.trace(within_b)
    return float(within / pairs - 2.0 * _kernel(a, b).mean())


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    base = a @ b.T / a.shape[1] + 1.0
    return base * base * base  # many times faster than ** 3
