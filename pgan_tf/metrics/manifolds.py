"""Balls around features: the estimated manifolds of precision, recall, density and coverage.

A set's manifold is the union of balls around its features, each with the distance to the k-th
nearest neighbor in the set as its radius. Distances are Euclidean, computed block by block.
"""

from collections.abc import Iterator

import numpy as np

from pgan_tf.metrics.features import require_matrix, require_same_width
from tfrecords_tools.errors import UserError

# A block of distances: [ROWS COLUMNS] float64 is 64 MB.
ROWS, COLUMNS = 1024, 8192


def check_sets(
    reals: np.ndarray, fakes: np.ndarray, k: int, name: str, *, least_fakes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Check and return the features of two sets.

    Args:
      reals: `[n d]`, more than k.
      fakes: `[m d]`.
      k: number of the neighbor.
      name: of the metric, for errors.
      least_fakes: the fewest fakes.

    Raises:
      UserError: a set has too few images, the sets differ in d, or are not finite.
    """
    if k < 1:
        raise UserError(f"{name} need k of at least 1. Received: {k}")
    reals = require_matrix(reals, f"features of {name}", least=k + 1)
    fakes = require_matrix(fakes, f"features of {name}", least=least_fakes)
    require_same_width(reals, fakes, name)
    return reals, fakes


def center_of(features: np.ndarray) -> np.ndarray:
    """Return the mean `[d]` float64.

    Centering leaves distances as they are, and loses less to rounding.
    """
    return features.mean(axis=0, dtype=np.float64)


def squared_radii(features: np.ndarray, k: int, center: np.ndarray) -> np.ndarray:
    """Return the squared distance of each feature to its k-th nearest neighbor, `[n]`."""
    nearest = np.full([len(features), k], np.inf)
    for rows, columns, distances in blocks(features, features, center):
        # A feature is not its own neighbor, but an equal one is.
        own = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
        distances[own - rows.start, own - columns.start] = np.inf
        among = np.concatenate([nearest[rows], distances], axis=1)
        nearest[rows] = np.partition(among, k - 1, axis=1)[:, :k]
    return nearest.max(axis=1)


def blocks(
    a: np.ndarray, b: np.ndarray, center: np.ndarray
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Compute squared distances of every row of `a` to every row of `b`, a block at a time.

    Yields:
      A slice of the rows of `a`, a slice of the rows of `b`, and their distances.
    """
    for first in range(0, len(b), COLUMNS):
        columns = slice(first, min(first + COLUMNS, len(b)))
        right = b[columns].astype(np.float64) - center
        right_norms = np.einsum("nd,nd->n", right, right)
        for start in range(0, len(a), ROWS):
            rows = slice(start, min(start + ROWS, len(a)))
            left = a[rows].astype(np.float64) - center
            distances = left @ right.T
            distances *= -2.0
            distances += np.einsum("nd,nd->n", left, left)[:, None]
            distances += right_norms
            yield rows, columns, np.maximum(distances, 0.0, out=distances)


class Reached:
    """The reals that fakes reach, each by how many and by which.

    Attributes:
      counts: `[n]` int64, the fakes that reach each real.
    """

    def __init__(self, reals: int, fakes: int):
        """Reach no real yet; both are numbers of images."""
        self.counts = np.zeros(reals, np.int64)
        self._by = np.zeros(reals, np.int64)
        self._fakes = fakes

    def add(self, rows: slice, columns: slice, reached: np.ndarray) -> None:
        """Add a block: fakes of `rows` reach reals of `columns` where `reached` is True."""
        counts = np.count_nonzero(reached, axis=0)
        new = np.flatnonzero((counts > 0) & (self.counts[columns] == 0))
        self._by[columns.start + new] = rows.start + reached[:, new].argmax(axis=0)
        self.counts[columns] += counts

    @property
    def share(self) -> float:
        """The fraction of reals that are reached."""
        return float(np.mean(self.counts > 0))

    def influence(self) -> np.ndarray:
        """Return the influence `[m]` of each fake on the share, with the balls held.

        m times the part of the share that would be lost without the fake: that of the reals which
        no other fake reaches. Its spread is the jackknife's, which errs on the high side (Efron
        and Stein, 1981).
        """
        alone = np.bincount(self._by[self.counts == 1], minlength=self._fakes)
        return alone * (self._fakes / len(self.counts))
