"""The spread of a metric: its standard deviation over other fakes from the same generator.

Fakes are resampled by the bootstrap (Efron, 1979); reals, which all generators are compared with,
are held. Where a figure's bootstrap is known in closed form, or where each fake's influence on it
is, no replicates are drawn.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Keeps these draws apart from those of metrics.
_BOOTSTRAP = 11


def bootstrap(
    statistic: Callable[[np.ndarray], Mapping[str, float]],
    count: int,
    *,
    replicates: int,
    seed: int,
) -> dict[str, float]:
    """Return the standard deviation of a statistic over resampled rows.

    Args:
      statistic: numbers of rows `[count]`, drawn with repetition, to values by name.
      count: of the rows.
      replicates: number of draws; below 2 there is no deviation.
      seed: of the draws.

    Returns:
      The deviations by name; empty if there are fewer than 2 rows or replicates.
    """
    if count < 2 or replicates < 2:
        return {}
    draws = [statistic(rows) for rows in draw_rows(count, count, replicates, seed)]
    return {name: deviation([draw[name] for draw in draws]) for name in draws[0]}


def draw_rows(count: int, size: int, replicates: int, seed: int) -> list[np.ndarray]:
    """Draw `size` numbers of `count` rows with repetition, for each replicate."""
    random = np.random.default_rng([_BOOTSTRAP, seed])
    return [random.integers(count, size=size) for _ in range(replicates)]


def deviation(draws: Sequence[float] | np.ndarray) -> float:
    """Return the unbiased standard deviation of replicates."""
    return float(np.std(draws, ddof=1))


def spread_of_mean(contributions: np.ndarray) -> float:
    """Return the bootstrap's spread of the mean of `[n]` contributions, for endless replicates.

    So also that of any figure by the influences `[n]` of images on it.
    """
    return float(np.std(contributions, dtype=np.float64) / np.sqrt(len(contributions)))
