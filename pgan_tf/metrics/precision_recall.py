"""Precision and recall of a generator, by its neighbours among features.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
NeurIPS 2019, section 2.
"""

from collections.abc import Iterator

import numpy as np

from pgan_tf.metrics.features import require_matrix, require_same_width
from tfrecords_tools.errors import UserError

# Distances held at a time: [_ROWS _COLUMNS] float64 are 64 MB.
_ROWS, _COLUMNS = 1024, 8192


def precision_recall(reals: np.ndarray, fakes: np.ndarray, k: int = 3) -> tuple[float, float]:
    """How many fakes look real, and how many reals could have been generated.

    A set's manifold is made of balls: around each of its features, as far as its k-th nearest
    neighbour in the set. Distances are Euclidean.

    Args:
      reals: `[n d]` features.
      fakes: `[m d]` features. The paper takes n = m, 50,000 of each.
      k: which neighbour; the paper takes 3.

    Returns:
      Precision, the share of fakes within the manifold of the reals, and recall, the share of reals
      within that of the fakes, both from 0 to 1.

    Raises:
      UserError: a set has not more than k images, the two differ in d, or are not finite.
    """
    if k < 1:
        raise UserError(f"precision and recall need k of at least 1. Received: {k}")
    reals = require_matrix(reals, "features of precision and recall", least=k + 1)
    fakes = require_matrix(fakes, "features of precision and recall", least=k + 1)
    require_same_width(reals, fakes, "precision and recall")
    # Distances stay the same around another centre, and lose less to rounding.
    centre = reals.mean(axis=0, dtype=np.float64)
    real_radii = _neighbour_distances(reals, k, centre)
    fake_radii = _neighbour_distances(fakes, k, centre)
    fakes_within = np.zeros(len(fakes), bool)
    reals_within = np.zeros(len(reals), bool)
    for rows, columns, distances in _blocks(fakes, reals, centre):
        fakes_within[rows] |= (distances <= real_radii[columns]).any(axis=1)
        reals_within[columns] |= (distances <= fake_radii[rows, None]).any(axis=0)
    return float(fakes_within.mean()), float(reals_within.mean())


def _neighbour_distances(features: np.ndarray, k: int, centre: np.ndarray) -> np.ndarray:
    """`[n]`: of each feature the squared distance to its k-th nearest other one."""
    nearest = np.full([len(features), k], np.inf)
    for rows, columns, distances in _blocks(features, features, centre):
        # A feature is not its own neighbour; one equal to it is.
        own = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
        distances[own - rows.start, own - columns.start] = np.inf
        among = np.concatenate([nearest[rows], distances], axis=1)
        nearest[rows] = np.partition(among, k - 1, axis=1)[:, :k]
    return nearest.max(axis=1)


def _blocks(
    a: np.ndarray, b: np.ndarray, centre: np.ndarray
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Squared distances of every row of `a` to every row of `b`, a block at a time.

    Yields:
      Which rows of `a`, which rows of `b`, and their distances.
    """
    for first in range(0, len(b), _COLUMNS):
        columns = slice(first, min(first + _COLUMNS, len(b)))
        right = b[columns].astype(np.float64) - centre
        right_norms = np.einsum("nd,nd->n", right, right)
        for start in range(0, len(a), _ROWS):
            rows = slice(start, min(start + _ROWS, len(a)))
            left = a[rows].astype(np.float64) - centre
            distances = left @ right.T
            distances *= -2.0
            distances += np.einsum("nd,nd->n", left, left)[:, None]
            distances += right_norms
            yield rows, columns, np.maximum(distances, 0.0, out=distances)
