import numpy as np
import pytest

from pgan_tf.runs.power_profiles import Profiles, combine, inner_products
from pgan_tf.step.power_average import exponent_of

LENGTHS = (0.05, 0.1)


def profiles(lengths, ends):
    pairs = [(exponent_of(length), float(end)) for end in ends for length in lengths]
    return Profiles(*np.array(pairs).T)


def masses(length, ends):
    """Return the share of each batch in an average whose last batch ends the run."""
    return np.diff((np.append(0, ends) / ends[-1]) ** (exponent_of(length) + 1))


def test_inner_products_are_integrals():
    chosen = Profiles(np.array([0.0, 1.3, 6.94]), np.array([2.0, 1.0, 1.5]))
    n = (np.arange(400_000) + 0.5) * 2.0 / 400_000
    values = np.where(
        n < chosen.ends[:, None],
        (chosen.exponents[:, None] + 1)
        * n ** chosen.exponents[:, None]
        / chosen.ends[:, None] ** (chosen.exponents[:, None] + 1),
        0.0,
    )
    expected = values @ values.T * 2.0 / 400_000
    np.testing.assert_allclose(inner_products(chosen, chosen), expected, rtol=1e-5)


@pytest.mark.parametrize(("length", "tolerance"), [(0.03, 0.03), (0.07, 0.002), (0.15, 0.01)])
@pytest.mark.parametrize("last", [20, 13])
def test_an_average_that_was_not_stored_is_reconstructed(length, tolerance, last):
    batches = np.array([64] * 1000 + [16] * 4000 + [4] * 4000)
    ends = np.cumsum(batches)
    steps = np.random.default_rng(0).normal(size=[len(batches), 200])
    weights = np.cumsum(steps * np.sqrt(batches)[:, np.newaxis], axis=0)
    saved = [np.searchsorted(ends, ends[-1] * (k + 1) // 20) for k in range(last)]
    stored = [masses(known, ends[: i + 1]) @ weights[: i + 1] for i in saved for known in LENGTHS]
    final = saved[-1]
    combination = combine(
        profiles(LENGTHS, ends[saved]), profiles([length], ends[final : final + 1])
    )
    found = combination.coefficients @ np.array(stored)
    expected = masses(length, ends[: final + 1]) @ weights[: final + 1]
    # Of the distance that weights move in the time that the average takes in.
    moved = np.linalg.norm(weights[final] - expected)
    assert np.linalg.norm(found - expected) < tolerance * moved
    # The nearest stored average is no substitute.
    nearest = min(np.linalg.norm(s - expected) for s in stored[-2:])
    assert np.linalg.norm(found - expected) < 0.2 * nearest


@pytest.mark.parametrize("length", [0.02, 0.07, 0.28])
def test_coefficients_add_up_to_one_even_of_few_profiles(length):
    for ends in ([100], [100, 200, 300]):
        combination = combine(profiles(LENGTHS, ends), profiles([length], ends[-1:]))
        assert combination.coefficients.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_stored_profile_is_taken_alone():
    combination = combine(profiles(LENGTHS, range(1, 76)), profiles([0.1], [75]))
    expected = np.zeros(150)
    expected[-1] = 1.0
    np.testing.assert_allclose(combination.coefficients, expected, atol=1e-7)
    assert combination.error < 1e-6


def test_the_error_is_the_relative_distance_of_profiles():
    stored, wanted = profiles(LENGTHS, [4.0, 8.0]), profiles([0.2], [8.0])
    combination = combine(stored, wanted)
    n = (np.arange(400_000) + 0.5) * 8.0 / 400_000

    def values(profile, k):
        p, end = profile.exponents[k], profile.ends[k]
        return np.where(n < end, (p + 1) * n**p / end ** (p + 1), 0.0)

    total = sum(c * values(stored, k) for k, c in enumerate(combination.coefficients))
    goal = values(wanted, 0)
    distance = np.linalg.norm(total - goal) / np.linalg.norm(goal)
    assert combination.error == pytest.approx(distance, rel=1e-3)
    assert 0.1 < combination.error < 0.6
