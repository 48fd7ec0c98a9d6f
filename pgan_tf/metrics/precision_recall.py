"""Precision and recall of a generator, by nearest neighbors of features.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
NeurIPS 2019, section 2.
"""

import dataclasses

import numpy as np

from pgan_tf.metrics.manifolds import Reached, blocks, center_of, check_sets, squared_radii
from pgan_tf.metrics.spread import spread_of_mean


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall, and the part that each fake has in them.

    Attributes:
      precision: fraction of fakes within the manifold of the reals.
      recall: fraction of reals within the manifold of the fakes.
      within: `[m]` bool, whether each fake is within the manifold of the reals.
      influence: `[m]`, of each fake on recall; see `manifolds.Reached`.
    """

    precision: float
    recall: float
    within: np.ndarray
    influence: np.ndarray

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def spread(self) -> dict[str, float]:
        """Return the spread of `precision`, `recall` and `f1` over fakes, with the balls held."""
        total = self.precision + self.recall
        slopes = (2 * self.recall**2, 2 * self.precision**2) if total else (0.0, 0.0)
        both = slopes[0] * self.within + slopes[1] * self.influence
        return {
            "precision": spread_of_mean(self.within),
            "recall": spread_of_mean(self.influence),
            "f1": spread_of_mean(both) / total**2 if total else 0.0,
        }


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
    found = compare_manifolds(reals, fakes, k)
    return found.precision, found.recall


def compare_manifolds(reals: np.ndarray, fakes: np.ndarray, k: int = 3) -> PrecisionRecall:
    """Compute precision and recall, and the part that each fake has in them.

    See `precision_recall`.
    """
    reals, fakes = check_sets(reals, fakes, k, "precision and recall", least_fakes=k + 1)
    center = center_of(reals)
    real_radii = squared_radii(reals, k, center)
    fake_radii = squared_radii(fakes, k, center)
    within = np.zeros(len(fakes), bool)
    reached = Reached(len(reals), len(fakes))
    for rows, columns, distances in blocks(fakes, reals, center):
        within[rows] |= (distances <= real_radii[columns]).any(axis=1)
        reached.add(rows, columns, distances <= fake_radii[rows, None])
    return PrecisionRecall(float(within.mean()), reached.share, within, reached.influence())
