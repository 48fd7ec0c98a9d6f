"""Density and coverage of a generator, by nearest neighbors of features.

Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML 2020,
section 3.2.
"""

import dataclasses

import numpy as np

from pgan_tf.metrics.manifolds import Reached, blocks, center_of, check_sets, squared_radii
from pgan_tf.metrics.spread import spread_of_mean


@dataclasses.dataclass(frozen=True)
class DensityCoverage:
    """Density and coverage, and the part that each fake has in them.

    Attributes:
      density: mean number of balls of reals that a fake is in, by k.
      coverage: fraction of reals with a fake in their ball.
      densities: `[m]`, of each fake.
      influence: `[m]`, of each fake on coverage; see `manifolds.Reached`.
    """

    density: float
    coverage: float
    densities: np.ndarray
    influence: np.ndarray

    def spread(self) -> dict[str, float]:
        """Return the spread of `density` and `coverage` over fakes."""
        return {
            "density": spread_of_mean(self.densities),
            "coverage": spread_of_mean(self.influence),
        }


def density_coverage(reals: np.ndarray, fakes: np.ndarray, k: int = 5) -> DensityCoverage:
    """Compute how densely fakes lie among reals, and the fraction of reals with fakes around them.

    Only reals have balls, so a few odd fakes make neither value larger. The radius is the distance
    to the k-th nearest other real; a fake on the rim is within.

    Args:
      reals: `[n d]` features.
      fakes: `[m d]` features.
      k: number of the neighbor; 5 in the paper.

    Returns:
      Density, at least 0, with 1 expected of fakes that are distributed as the reals, and maybe
      more; and coverage, from 0 to 1, with 1 - 1 / 2^k expected of as many such fakes as reals.

    Raises:
      UserError: there are k reals or fewer, or no fakes, the sets differ in d, or are not finite.
    """
    reals, fakes = check_sets(reals, fakes, k, "density and coverage", least_fakes=1)
    center = center_of(reals)
    radii = squared_radii(reals, k, center)
    balls = np.zeros(len(fakes), np.int64)
    reached = Reached(len(reals), len(fakes))
    for rows, columns, distances in blocks(fakes, reals, center):
        within = distances <= radii[columns]
        balls[rows] += np.count_nonzero(within, axis=1)
        reached.add(rows, columns, within)
    densities = balls / k
    return DensityCoverage(float(densities.mean()), reached.share, densities, reached.influence())
