"""Least-squares combinations of power-function profiles (Karras et al. 2024, section 3.2).

Averages are linear in the weights that they average. So the combination of stored averages whose
profile comes nearest to a wanted one approximates the average of that profile.
"""

from typing import NamedTuple

import numpy as np

# Relative to the largest: smaller singular values are rounding errors.
_RCOND = 1e-12


class Profiles(NamedTuple):
    """Profiles (exponent + 1) n^exponent / end^(exponent + 1), for n from 0 to end.

    Attributes:
      exponents: [k], from 0.
      ends: [k], images seen, above 0.
    """

    exponents: np.ndarray
    ends: np.ndarray


class Combination(NamedTuple):
    """A sum of profiles.

    Attributes:
      coefficients: [k], of the sum 1, so that constant weights average to themselves.
      error: norm of the difference from the wanted profile, relative to the norm of that.
    """

    coefficients: np.ndarray
    error: float


def inner_products(a: Profiles, b: Profiles) -> np.ndarray:
    """Return the integrals of products of profiles over n, in closed form, [k_a k_b].

    The product is zero past the earlier end, up to which the integral of n^(p + q) is
    end^(p + q + 1) / (p + q + 1); see appendix C.
    """
    p, q = a.exponents[:, np.newaxis], b.exponents[np.newaxis]
    end_p, end_q = np.broadcast_arrays(a.ends[:, np.newaxis], b.ends[np.newaxis])
    later_exponent = np.where(end_p < end_q, q, p)
    early, late = np.minimum(end_p, end_q), np.maximum(end_p, end_q)
    return (p + 1) * (q + 1) / (p + q + 1) * (early / late) ** later_exponent / late


def combine(stored: Profiles, wanted: Profiles) -> Combination:
    """Return the combination of stored profiles that is nearest to a wanted one.

    Args:
      stored: [k].
      wanted: [1].
    """
    # In units of the wanted end, so that all inner products are of the order of exponents.
    end = wanted.ends[0]
    stored = Profiles(stored.exponents, stored.ends / end)
    wanted = Profiles(wanted.exponents, wanted.ends / end)
    products = inner_products(stored, stored)
    target = inner_products(stored, wanted)[:, 0]
    # The minimum under the condition that coefficients add up to 1, by a Lagrange multiplier. The
    # paper has no such condition.
    ones = np.ones((len(products), 1))
    system = np.block([[products, ones], [ones.T, np.zeros((1, 1))]])
    solution = np.linalg.lstsq(system, np.append(target, 1.0), rcond=_RCOND)[0]
    coefficients = solution[:-1] / solution[:-1].sum()
    norm = inner_products(wanted, wanted)[0, 0]
    squared = coefficients @ products @ coefficients - 2 * coefficients @ target + norm
    return Combination(coefficients, float(np.sqrt(max(squared, 0.0) / norm)))
