"""Precision and recall of a generator, by nearest neighbors of features.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
NeurIPS 2019, section 2.
"""

from collections.abc import Iterator

import numpy as np

from pgan_tf.metrics.features import require_matrix, require_same_width
from tfrecords_tools.errors import UserError

# A block of distances: [_ROWS _COLUMNS] float64 is 64 MB.
_ROWS, _COLUMNS = 1024, 8192


def precision_recall(reals: np.ndarray, fakes: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Compute the fraction of fakes that look real, and of reals that could be generated.

    A set's manifold is the union of balls around its features, each with the distance to the k-th
    nearest neighbor in the set as its radius. Distances are Euclidean.

    Args:
      reals: `[n d]` features.
      fakes: `[m d]` features. The paper has n = m = 50,000.
      k: number of the neighbor; 3 in the paper.

    Returns:
      Precision, the fraction of fakes within the manifold of the reals, and recall, the fraction of
      reals within that of the fakes.

    Raises:
      UserError: a set has k images or fewer, the sets differ in d, or are not finite.
    """
    if k < 1:
        raise UserError(f"precision and recall need k of at least 1. Received: {k}")
    reals = require_matrix(reals, "features of precision and recall", least=k + 1)
    fakes = require_matrix(fakes, "features of precision and recall", least=k + 1)
    require_same_width(reals, fakes, "precision and recall")
    # Centering leaves distances as they are, and loses less to rounding.
    center = reals.mean(axis=0, dtype=np.float64)
    real_radii = _neighbor_distances(reals, k, center)
    fake_radii = _neighbor_distances(fakes, k, center)
    fakes_within = np.zeros(len(fakes), bool)
    reals_within = np.zeros(len(reals), bool)
    for rows, columns, distances in _blocks(fakes, reals, center):
        fakes_within[rows] |= (distances <= real_radii[columns]).any(axis=1)
        reals_within[columns] |= (distances <= fake_radii[rows, None]).any(axis=0)
    return float(fakes_within.mean()), float(reals_within.mean())


def _neighbor_distances(features: np.ndarray, k: int, center: np.ndarray) -> np.ndarray:
    """Return the squared distance of each feature to its k-th nearest neighbor, `[n]`."""
    nearest = np.full([len(features), k], np.inf)
    for rows, columns, distances in _blocks(features, features, center):
        # A feature is not its own neighbor, but an equal one is.
        own = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
        distances[own - rows.start, own - columns.start] = np.inf
        among = np.concatenate([nearest[rows], distances], axis=1)
        nearest[rows] = np.partition(among, k - 1, axis=1)[:, :k]
    return nearest.max(axis=1)


def _blocks(
    a: np.ndarray, b: np.ndarray, center: np.ndarray
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Compute squared distances of every row of `a` to every row of `b`, a block at a time.

    Yields:
      A slice of the rows of `a`, a slice of the rows of `b`, and their distances.
    """
    for first in range(0, len(b), _COLUMNS):
        columns = slice(first, min(first + _COLUMNS, len(b)))
        right = b[columns].astype(np.float64) - center
        right_norms = np.einsum("nd,nd->n", right, right)
        for start in range(0, len(a), _ROWS):
            rows = slice(start, min(start + _ROWS, len(a)))
            left = a[rows].astype(np.float64) - center
            distances = left @ right.T
            distances *= -2.0
            distances += np.einsum("nd,nd->n", left, left)[:, None]
            distances += right_norms
            yield rows, columns, np.maximum(distances, 0.0, out=distances)
