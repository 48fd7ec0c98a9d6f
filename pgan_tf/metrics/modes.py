"""Mode coverage on MNIST-RGB, which has a thousand modes.

Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, section 3.3.1; the paper's
appendix on MNIST-RGB uses the same metric. Each color channel of an image is a digit. A classifier
reads them as a number from 000 to 999: red is its first digit, blue its last.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfrecords_tools.errors import UserError

MODES = 1000

# [n h w] uint8 digits, white on black -> [n] integers from 0 to 9
Classify = Callable[[np.ndarray], np.ndarray]


class Modes(NamedTuple):
    """Mode coverage of generated numbers.

    Attributes:
      hit: count of the 1000 numbers that occur at least once.
      kl: Kullback-Leibler divergence of their frequencies from the uniform distribution,
        KL(frequencies || uniform), in nats: from 0 to ln 1000 = 6.91. For n numbers drawn uniformly
        it is not 0 but about 999 / 2n: 0.0195 for 25,600.
    """

    hit: int
    kl: float


def modes(images: np.ndarray, classify: Classify) -> Modes:
    """Compute the mode coverage of images.

    Args:
      images: `[n h w 3]` uint8. Metz et al. and the paper have n = 25,600.
      classify: a classifier of digits, such as that of `load_digit_classifier`.

    Raises:
      UserError: the images have another shape or type, or there are none.
    """
    return mode_coverage(read_numbers(images, classify))


def read_numbers(images: np.ndarray, classify: Classify) -> np.ndarray:
    """Read the numbers from 0 to 999 in images `[n h w 3]` uint8; `[n]` int64.

    Raises:
      UserError: the images have another shape or type, or the classifier does not return digits.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise UserError(
            "modes takes MNIST-RGB, [n h w 3] uint8 images with a digit in each channel."
            f" Received: {list(images.shape)} {images.dtype}"
        )
    channels = [_digits(images[..., channel], classify) for channel in range(3)]
    return channels[0] * 100 + channels[1] * 10 + channels[2]


def mode_coverage(numbers: np.ndarray) -> Modes:
    """Compute the mode coverage of numbers.

    Args:
      numbers: `[n]` integers from 0 to 999.

    Raises:
      UserError: there are none.
    """
    if not len(numbers):
        raise UserError("modes needs at least one image. Received: none")
    counts = np.bincount(numbers, minlength=MODES)
    frequencies = counts[counts > 0] / len(numbers)
    # ln(f / (1 / 1000)); numbers that do not occur add nothing.
    divergence = np.sum(frequencies * np.log(frequencies * MODES))
    return Modes(int(np.count_nonzero(counts)), max(0.0, float(divergence)))


def _digits(images: np.ndarray, classify: Classify) -> np.ndarray:
    digits = np.asarray(classify(images))
    if digits.shape != (len(images),) or not np.issubdtype(digits.dtype, np.integer):
        raise UserError(
            f"a classifier of {len(images)} digits must return [{len(images)}] integers."
            f" Received: {list(digits.shape)} {digits.dtype}"
        )
    if len(digits) and not 0 <= digits.min() <= digits.max() <= 9:
        raise UserError(
            "a classifier of digits must return integers from 0 to 9. Received:"
            f" {digits.min()} to {digits.max()}"
        )
    return digits.astype(np.int64)
