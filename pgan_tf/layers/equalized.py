"""What equalized layers share: runtime scaling of stored weights (section 4.1 of the paper)."""

import math

import keras


def scales(gain: float, fan_in: int, *, equalized: bool) -> tuple[float, float]:
    """How gain / sqrt(fan_in) is shared between the initial weights and their use.

    Returns:
      The standard deviation of stored weights at the start, and the factor from stored to used
      weights: 1 and gain / sqrt(fan_in) with equalized learning rate, else the other way round.
    """
    he = gain / math.sqrt(fan_in)
    return (1.0, he) if equalized else (he, 1.0)


def normal(stddev: float, seed: int | None) -> keras.initializers.Initializer:
    """Stored weights start as N(0, stddev^2)."""
    return keras.initializers.RandomNormal(mean=0.0, stddev=stddev, seed=seed)
