"""Held-out images (`--validation_images`): the images of a pyramid that are never trained on.

Which they are depends on the two numbers alone, so that every run of a pyramid, whatever its seed,
holds out the same images, and more of them include the fewer. Images that are trained on have
numbers of their own, 0 to `num_images - validation_images - 1`, in the order of the pyramid.
"""

import functools
from typing import NamedTuple

import numpy as np

from tfrecords_tools.format import Pyramid

# Part of the rule: never change it. RandomState's numbers are the same in every version of NumPy.
_RULE_SEED = 2020


class HeldOut(NamedTuple):
    """Held-out images at one resolution.

    Attributes:
      images: `[n c h w]` uint8.
      labels: `[n label_size]` float32; label_size is 0 without labels.
    """

    images: np.ndarray
    labels: np.ndarray


@functools.lru_cache(4)
def held_out_indices(num_images: int, validation_images: int) -> np.ndarray:
    """Return the numbers of the images in a pyramid that are held out.

    Args:
      num_images: number of images in the pyramid.
      validation_images: number of images to hold out, from 0 to `num_images`.

    Returns:
      `[validation_images]` int64, ascending; not to be written to.
    """
    if not 0 <= validation_images <= num_images:
        raise ValueError(
            f"validation_images must be from 0 to {num_images}. Received: {validation_images}"
        )
    shuffled = np.random.RandomState(_RULE_SEED).permutation(num_images if validation_images else 0)
    indices = np.sort(shuffled[:validation_images]).astype(np.int64)
    indices.setflags(write=False)
    return indices


def trained_on(numbers: np.ndarray, *, num_images: int, validation_images: int) -> np.ndarray:
    """Return the record numbers of images that are trained on.

    Args:
      numbers: `[k]` int64, the numbers of the images among those that are trained on.
      num_images: number of images in the pyramid.
      validation_images: number of images that are held out.

    Returns:
      `[k]` int64.
    """
    held_out = held_out_indices(num_images, validation_images)
    # The images that are trained on and lie before each held-out one.
    before = held_out - np.arange(len(held_out))
    return numbers + np.searchsorted(before, numbers, side="right")


def read_held_out(pyramid: Pyramid, validation_images: int, resolution: int) -> HeldOut:
    """Read all held-out images of a pyramid into memory, in the order of `held_out_indices`.

    Args:
      pyramid: the data, on a disk or behind a URL.
      validation_images: number of images that are held out.
      resolution: of the level that is read.

    Raises:
      UserError: a record is damaged, or can't be read.
    """
    records = held_out_indices(pyramid.count, validation_images)
    return HeldOut(pyramid.level(resolution).read(records), pyramid.labels_of(records))
