"""The kernel distance between two sets of features, known as KID on Inception's.

Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4.
"""

import math
from typing import NamedTuple

import numpy as np

from pgan_tf.metrics.features import require_matrix, require_same_width
from tfrecords_tools.errors import UserError

MOST_PER_SUBSET = 1000


class KernelEstimate(NamedTuple):
    """An estimate of the kernel distance.

    Attributes:
      mean: over the subsets.
      std: standard deviation over the subsets; NaN if each is all of a set.
      spread: standard deviation of the mean over other images in place of `b`; see
        `estimate_kernel_distance`.
    """

    mean: float
    std: float
    spread: float


def usual_subset_size(count: int) -> int:
    """Return the images per subset, by the number of images of the smaller set.

    1000, as published, or half of fewer than 2000; fewer than 4 are one subset.
    """
    return min(MOST_PER_SUBSET, count // 2) if count >= 4 else count


def kernel_distance(
    a: np.ndarray, b: np.ndarray, *, seed: int, subsets: int = 100, subset_size: int | None = None
) -> tuple[float, float]:
    """Estimate the squared maximum mean discrepancy with the kernel `(x.y / d + 1)^3`.

    Each subset has as many images of `a` as of `b`, without repetition.

    Args:
      a: `[n d]` features.
      b: `[m d]` features.
      seed: of the choice of subsets.
      subsets: number of estimates.
      subset_size: images of each set per estimate, or all if a set has fewer; None for
        `usual_subset_size`. If a subset is all of both sets, there is one estimate.

    Returns:
      Mean and standard deviation over the subsets, not multiplied by 1000 as is often done. The
      estimate is unbiased, so it may be negative if the sets are similar. The deviation is NaN if
      each subset is all of a set: how it varies with the images of that set is unknown then.

    Raises:
      UserError: a set has fewer than two images, the two differ in d, or are not finite.
    """
    found = estimate_kernel_distance(a, b, seed=seed, subsets=subsets, subset_size=subset_size)
    return found.mean, found.std


def estimate_kernel_distance(
    a: np.ndarray, b: np.ndarray, *, seed: int, subsets: int = 100, subset_size: int | None = None
) -> KernelEstimate:
    """Estimate the kernel distance, and how it varies with the images of `b`.

    The spread is that of a U-statistic's linear part (Hoeffding, 1948): each subset shows how much
    each image of `b` raises the estimate, and images that subsets share count as often as they do.
    What other images of the subset add to that makes it too large, up to twice, if the sets hardly
    differ.

    Args, Raises: see `kernel_distance`.
    """
    if subsets < 1 or (subset_size is not None and subset_size < 2):
        raise UserError(
            "the kernel distance needs at least 1 subset of at least 2 images."
            f" Received: {subsets} of {subset_size}"
        )
    a = require_matrix(a, "features of the kernel distance", least=2)
    b = require_matrix(b, "features of the kernel distance", least=2)
    require_same_width(a, b, "the kernel distance")
    fewest = min(len(a), len(b))
    size = min(subset_size or usual_subset_size(fewest), fewest)
    if size == len(a) == len(b):
        subsets = 1  # all of them would be the same
    rng = np.random.default_rng(seed)
    estimates, variances = [], []
    drawn = np.zeros(len(b))
    for _ in range(subsets):
        of_a = rng.choice(len(a), size, replace=False)
        of_b = rng.choice(len(b), size, replace=False)
        distance, influence = _unbiased_mmd(a[of_a].astype(np.float64), b[of_b].astype(np.float64))
        estimates.append(distance)
        variances.append(np.var(influence))
        drawn[of_b] += 1 / (subsets * size)
    varied = size < fewest
    return KernelEstimate(
        float(np.mean(estimates)),
        float(np.std(estimates)) if varied else math.nan,
        float(np.sqrt(np.mean(variances) * np.sum(drawn**2))),
    )


def _unbiased_mmd(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the unbiased estimate of the squared discrepancy of two sets of features `[n d]`.

    Also, by how much each of `b` raises it, times n and but for a constant.
    """
    count = len(a)
    within_a, within_b, between = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    # The kernel of a feature with itself would bias the estimate.
    within = within_a.sum() - np.trace(within_a) + within_b.sum() - np.trace(within_b)
    others = (within_b.sum(axis=0) - np.diag(within_b)) / (count - 1)
    return (
        float(within / (count * (count - 1)) - 2.0 * between.mean()),
        2.0 * (others - between.mean(axis=0)),
    )


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    base = a @ b.T / a.shape[1] + 1.0
    return base * base * base  # many times faster than ** 3
