"""Held-out images (`--validation_images`): the images of a pyramid that are never trained on.

Which they are depends on the two numbers alone, so that every run of a pyramid, whatever its seed,
holds out the same images, and more of them include the fewer. Images that are trained on have
numbers of their own, 0 to `num_images - validation_images - 1`, in the order of the pyramid.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pgan_tf.config.phases import Step
from pgan_tf.data.order import records_at
from tfrecords_tools.format import Pyramid

# Part of the rule: never change it. RandomState's numbers are the same in every version of NumPy.
_RULE_SEED = 2020

# Added to a run's seed, which is below 2^31.
_ORDER_SEED = 1 << 31

# Of a pyramid behind a URL, a level of held-out images of up to so many bytes stays in memory:
# each would be a request.
_KEPT_BYTES = 256 << 20


class HeldOut(NamedTuple):
    """Held-out images at one resolution.

    Attributes:
      images: `[n c h w]` as stored.
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


class ValidationImages:
    """The held-out images that steps score: a pure function of the seed and images_seen.

    Each comes as often as the others. Threads may share an instance for a pyramid on disk.

    Args:
      pyramid: the data.
      validation_images: number of images that are held out.
      seed: of their order.
      size_of: from a global batch size to the number of images that a step scores.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        validation_images: int,
        *,
        seed: int,
        size_of: Callable[[int], int],
    ):
        self._pyramid = pyramid
        self._indices = held_out_indices(pyramid.count, validation_images)
        self._seed = _ORDER_SEED + seed
        self._size_of = size_of
        self._kept: dict[int, np.ndarray] = {}

    def bytes_of(self, step: Step) -> int:
        """Return the size of a step's images."""
        images = self._size_of(step.phase.batch_size)
        return images * self._pyramid.level(step.phase.resolution).image_bytes

    def read(self, step: Step) -> np.ndarray:
        """Read the images that a step scores, all of them for every worker: `[v c h w]`.

        Raises:
          UserError: a record is damaged, or can't be read.
        """
        batch_size, count = step.phase.batch_size, len(self._indices)
        size = self._size_of(batch_size)
        first = step.images_seen * size // batch_size
        positions = np.arange(first, first + size, dtype=np.int64)
        numbers = records_at(positions, count=count, seed=self._seed)
        level = self._pyramid.level(step.phase.resolution)
        if self._pyramid.is_remote and count * level.image_bytes <= _KEPT_BYTES:
            if level.resolution not in self._kept:
                self._kept = {level.resolution: level.read(self._indices)}
            return self._kept[level.resolution][numbers]
        return level.read(self._indices[numbers])
