"""The Fréchet distance between two sets of features, known as FID on Inception's.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NIPS 2017, equation 6. Everything is computed in float64.
"""

import dataclasses

import numpy as np

from pgan_tf.metrics.features import require_finite, require_matrix, require_same_width
from tfrecords_tools.errors import UserError


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
    require_same_width(a.mean, b.mean, "the Fréchet distance")
    for statistics in (a, b):
        require_finite(statistics.mean, "the mean of the features")
        require_finite(statistics.covariance, "the covariance of the features")
    root_a, root_b = _root(a.covariance), _root(b.covariance)
    overlap = np.linalg.svd(root_a.T @ root_b, compute_uv=False).sum()
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(a.covariance) + np.trace(b.covariance)
    return max(0.0, float(distance - 2.0 * overlap))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return R `[d rank]` with R R^T = covariance; directions without variance are left out."""
    values, vectors = np.linalg.eigh(covariance)
    # The rounding error of a zero eigenvalue, whose root would not be small.
    noise = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    kept = values > noise
    return vectors[:, kept] * np.sqrt(values[kept])
