"""The Fréchet distance between two sets of features, known as FID on Inception's.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NIPS 2017, equation 6. Everything is computed in float64.
"""

import dataclasses

import numpy as np

from pgan_tf.metrics.features import require_finite, require_matrix, require_same_width
from pgan_tf.metrics.spread import spread_of_mean
from tfrecords_tools.errors import UserError

# Of the largest singular value: below are rounding errors.
_NO_OVERLAP = 1e-9
_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Mean and covariance of features.

    Attributes:
      mean: `[d]` float64.
      covariance: `[d d]` float64, unbiased: divided by count - 1.
      count: number of images.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int


class StatisticsAccumulator:
    """Computes statistics batch by batch, in memory that does not depend on the number of images.

    Batches are merged by their means and sums of squared deviations (Chan et al., 1979), which
    loses no precision if the mean is large compared to the deviation.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = np.zeros(0)
        self._scatter = np.zeros([0, 0])

    @property
    def count(self) -> int:
        """Number of images so far."""
        return self._count

    def add(self, features: np.ndarray) -> None:
        """Add `[b d]` features.

        Raises:
          UserError: they are not finite, or d differs from earlier features.
        """
        batch = require_matrix(features, "features", least=1).astype(np.float64)
        if self._count == 0:
            self._mean = np.zeros(batch.shape[1])
            self._scatter = np.zeros([batch.shape[1]] * 2)
        require_same_width(self._mean, batch, "a mean")
        mean = batch.mean(axis=0)
        centered = batch - mean
        shift = mean - self._mean
        total = self._count + len(batch)
        # The last row adds the shift of the means to the same product.
        rows = np.vstack([centered, shift * np.sqrt(self._count * len(batch) / total)])
        self._scatter += rows.T @ rows
        self._mean += shift * (len(batch) / total)
        self._count = total

    def result(self) -> FeatureStatistics:
        """Return the statistics of all features.

        Raises:
          UserError: there are fewer than two images.
        """
        if self._count < 2:
            raise UserError(
                f"a covariance of features needs at least 2 images. Received: {self._count}"
            )
        return FeatureStatistics(self._mean.copy(), self._scatter / (self._count - 1), self._count)


def feature_statistics(features: np.ndarray) -> FeatureStatistics:
    """Compute the mean and the unbiased covariance of `[n d]` features.

    Raises:
      UserError: there are fewer than two images, or the features are not finite.
    """
    accumulator = StatisticsAccumulator()
    accumulator.add(require_matrix(features, "features", least=2))
    return accumulator.result()


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Compute the squared Fréchet distance of two Gaussians, as FIDs are reported.

    `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`. The trace of the root is the sum of the
    singular values of `C_a^(1/2) C_b^(1/2)`. So no root of an asymmetric matrix is computed, and
    covariances of fewer images than features need no offset on their diagonals.

    Returns:
      At least 0; 0 for equal statistics.

    Raises:
      UserError: the statistics are of different numbers of features, or not finite.
    """
    root_a, root_b = _roots(a, b)
    overlap = np.linalg.svd(root_a.T @ root_b, compute_uv=False).sum()
    return _distance(a, b, overlap)


def frechet_distance_and_spread(
    reals: FeatureStatistics, fakes: FeatureStatistics, features: np.ndarray
) -> tuple[float, float]:
    """Compute the Fréchet distance, and its spread over fakes.

    The spread is that of the distance's linear part in the mean and covariance of the fakes, its
    influence function: `2 (m_f - m_r) (x - m_f) + (x - m_f)^T (1 - T) (x - m_f)` for an image with
    features x, up to a constant, where T is the optimal transport from fakes to reals. The
    bootstrap itself repeats images, which lowers the rank of the covariance: its spread is too
    large by up to a half where images are not many times as many as features.

    Args:
      reals: their statistics.
      fakes: their statistics.
      features: `[n d]` of the fakes, of which the statistics are.

    Returns:
      The distance of `frechet_distance`, and its standard deviation over other fakes.

    Raises:
      UserError: the statistics are of different numbers of features, or not finite.
    """
    root_reals, root_fakes = _roots(reals, fakes)
    left, overlaps, _ = np.linalg.svd(root_reals.T @ root_fakes, full_matrices=False)
    distance = _distance(reals, fakes, overlaps.sum())
    kept = overlaps > _NO_OVERLAP * max(overlaps, default=0.0)
    # T = R U S^-1 (R U)^T of the decomposition R^T F = U S V^T of both roots.
    half_transport = (root_reals @ left[:, kept]) / np.sqrt(overlaps[kept])
    shift = 2.0 * (fakes.mean - reals.mean)
    influence = np.empty(len(features))
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        centered = features[rows].astype(np.float64) - fakes.mean
        moved = centered @ half_transport
        influence[rows] = centered @ shift
        influence[rows] += np.einsum("nd,nd->n", centered, centered)
        influence[rows] -= np.einsum("nd,nd->n", moved, moved)
    return distance, spread_of_mean(influence)


def _distance(a: FeatureStatistics, b: FeatureStatistics, overlap: float) -> float:
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(a.covariance) + np.trace(b.covariance)
    return max(0.0, float(distance - 2.0 * overlap))


def _roots(a: FeatureStatistics, b: FeatureStatistics) -> tuple[np.ndarray, np.ndarray]:
    """Return a root of each covariance, once both are checked."""
    require_same_width(a.mean, b.mean, "the Fréchet distance")
    for statistics in (a, b):
        require_finite(statistics.mean, "the mean of the features")
        require_finite(statistics.covariance, "the covariance of the features")
    return _root(a.covariance), _root(b.covariance)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return R `[d rank]` with R R^T = covariance; directions without variance are left out."""
    values, vectors = np.linalg.eigh(covariance)
    # The rounding error of a zero eigenvalue, whose root would not be small.
    noise = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    kept = values > noise
    return vectors[:, kept] * np.sqrt(values[kept])
