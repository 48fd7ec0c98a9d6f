"""What equalized layers share: runtime scaling of stored weights (section 4.1 of the paper)."""

import math

import keras

# He's constant for layers followed by a (leaky) ReLU; 1 for those without an activation.
RELU_GAIN = math.sqrt(2.0)


def unit_normal(seed: int | None) -> keras.initializers.Initializer:
    """Stored weights start as N(0, 1), whatever the layer's size; they are scaled when used."""
    return keras.initializers.RandomNormal(mean=0.0, stddev=1.0, seed=seed)


def runtime_scale(gain: float, fan_in: int) -> float:
    """The factor from stored to used weights: gain / sqrt(fan_in)."""
    return gain / math.sqrt(fan_in)
