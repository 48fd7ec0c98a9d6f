"""Patches of images at every resolution, of which swd compares the distributions.

They are cut out at random positions of each level of the images' Laplacian pyramids, from the full
resolution down to 16x16; of rectangles, as long as the shorter side has 16 pixels.
"""

import concurrent.futures
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgan_tf.metrics.laplacian_pyramid import pyramid_function
from tfrecords_tools.shape import split_size

if TYPE_CHECKING:
    import tensorflow as tf

MIN_SIDE = 16
PATCH_SIZE = 7
PATCHES_PER_IMAGE = 128

# Keeps positions apart from the directions of `swd`.
_POSITIONS = 0
# Pixels of the images that are computed at a time. Few stay in a CPU's cache; many give a GPU more
# work than starting its kernels takes.
_PIXELS_AT_ONCE = {"CPU": 1 << 19, "GPU": 1 << 22}
# On a GPU, the patches of some images are copied while those of others are computed.
_GPU_THREADS = 2

# (name of a level, shape) -> an array of that shape to fill, in memory or mapped from a file.
Allocate = Callable[[str, tuple[int, int]], np.ndarray]


def swd_sizes(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return the height and width of each level that is compared, from the full resolution down.

    The last is the smallest that still has a shorter side of 16 or more: 16x16 of squares.

    Raises:
      ValueError: a side is less than 16, or the sides are not those of images in a pyramid.
    """
    if min(height, width) < MIN_SIDE or split_size(height, width) is None:
        raise ValueError(
            f"swd needs images of {MIN_SIDE}x{MIN_SIDE}, or a larger power of two, or a rectangle "
            f"of sides that pyramids have, of {MIN_SIDE} or more. Received: {width}x{height}"
        )
    sizes = [(height, width)]
    while min(height, width) // 2 >= MIN_SIDE and not (height % 2 or width % 2):
        height, width = height // 2, width // 2
        sizes.append((height, width))
    return tuple(sizes)


def level_name(height: int, width: int) -> str:
    """Return the name of a level: `64` of squares, `96x64` of rectangles, the width first."""
    return str(height) if height == width else f"{width}x{height}"


class PatchSampler:
    """Cuts patches out of the Laplacian pyramids of images that come batch by batch.

    The pyramids are computed on a GPU if TensorFlow has one, else on all cores; only patches leave
    the device. The patches of image i do not depend on the sizes of batches. Kept are 128 patches
    of 7x7 per image and level: 25 kB of float32 per channel, thus 1.2 GB per level for 16,384 RGB
    images. The images themselves are not kept.
    """

    def __init__(
        self,
        num_images: int,
        size: tuple[int, int],
        channels: int,
        *,
        seed: int,
        allocate: Allocate | None = None,
    ):
        """Allocate room for all patches.

        Args:
          num_images: number of images that will be added.
          size: height and width of the images.
          channels: 1 or 3.
          seed: of the positions; two sets of images need different seeds.
          allocate: returns arrays for the patches; None for arrays in memory.

        Raises:
          ValueError: images of that size have no levels (`swd_sizes`).
        """
        allocate = allocate or (lambda name, shape: np.empty(shape, np.float32))
        self._shape = (*size, channels)
        self._added = 0
        self._num_images = num_images
        self._random = {
            # Squares keep the positions of the time before rectangles.
            level: np.random.default_rng([_POSITIONS, seed, *sorted(set(level))])
            for level in swd_sizes(*size)
        }
        components = channels * PATCH_SIZE**2
        self._patches = {
            level_name(*level): allocate(
                level_name(*level), (num_images * PATCHES_PER_IMAGE, components)
            )
            for level in self._random
        }

    def add(self, images: np.ndarray) -> None:
        """Add images `[b h w c]` in 0..255, of any number type.

        Raises:
          ValueError: they have another shape, or are too many.
        """
        if images.shape[1:] != self._shape or self._added + len(images) > self._num_images:
            raise ValueError(
                f"expected {self._num_images - self._added} images of {list(self._shape)} at most. "
                f"Received: {list(images.shape)}"
            )
        kind = _device_kind()
        # One number of images for the whole set, so that one graph serves all of them.
        pixels = self._shape[0] * self._shape[1]
        at_once = min(max(1, _PIXELS_AT_ONCE[kind] // pixels), self._num_images)
        cut = _patch_function((at_once, *self._shape), images.dtype.name)
        positions = np.stack(
            [_draw_positions(len(images), *drawn) for drawn in self._random.items()], axis=1
        )

        def cut_some(start: int) -> None:
            chosen = slice(start, min(start + at_once, len(images)))
            found = cut(_fill_up(images[chosen], at_once), _fill_up(positions[chosen], at_once))
            first, last = self._added + chosen.start, self._added + chosen.stop
            rows = slice(first * PATCHES_PER_IMAGE, last * PATCHES_PER_IMAGE)
            for patches, cut_out in zip(self._patches.values(), found, strict=True):
                patches[rows] = cut_out.numpy()[: rows.stop - rows.start]

        threads = _GPU_THREADS if kind == "GPU" else None
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(cut_some, range(0, len(images), at_once)))
        self._added += len(images)

    def finish(self) -> dict[str, np.ndarray]:
        """Return patches by the name of the level, `[num_images * 128 c * 49]` float32.

        Raises:
          ValueError: fewer images were added than announced.
        """
        if self._added != self._num_images:
            raise ValueError(f"expected {self._num_images} images. Received: {self._added}")
        return self._patches


def _device_kind() -> str:
    import tensorflow as tf

    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


def _draw_positions(count: int, level: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw the upper left corners (y, x) of patches, `[count 128 2]` int64."""
    # Fractions, since random integers would depend on the sizes of batches.
    fractions = random.random((count, PATCHES_PER_IMAGE, 2))
    return (fractions * (np.array(level) - PATCH_SIZE + 1)).astype(int)


def _fill_up(array: np.ndarray, count: int) -> np.ndarray:
    """Append zeros to an array up to `count` rows."""
    missing = count - len(array)
    return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array


@functools.cache
def _patch_function(shape: tuple[int, ...], dtype: str) -> Callable[..., list["tf.Tensor"]]:
    """Return a function that cuts patches out of the pyramids of images.

    Args:
      shape: of the images, `[b h w c]`.
      dtype: of the images.

    Returns:
      (images, positions `[b levels 128 2]`) -> patches `[b * 128 c * 49]` of each level.
    """
    import tensorflow as tf

    count, height, width, channels = shape
    levels = swd_sizes(height, width)
    split = pyramid_function(shape, dtype, len(levels))
    bands = [tf.TensorSpec([count, *level, channels], tf.float32) for level in levels]
    # Not int32, with which TensorFlow would compute on the host.
    corners = tf.TensorSpec([count, len(levels), PATCHES_PER_IMAGE, 2], tf.int64)

    # Compiled apart from the pyramids: together, both are slower.
    @tf.function(
        input_signature=[bands, corners],
        jit_compile=not tf.config.list_logical_devices("GPU"),
    )
    def cut(pyramid: list[tf.Tensor], positions: tf.Tensor) -> list[tf.Tensor]:
        patches = []
        for i, ((rows, columns), band) in enumerate(zip(levels, pyramid, strict=True)):
            y, x = positions[:, i, :, 0], positions[:, i, :, 1]
            first = (tf.range(count, dtype=tf.int64)[:, None] * rows + y) * columns + x
            window = np.arange(PATCH_SIZE)[:, None] * columns + np.arange(PATCH_SIZE)
            pixels = tf.gather(tf.reshape(band, [-1, channels]), first[:, :, None, None] + window)
            by_channel = tf.transpose(pixels, [0, 1, 4, 2, 3])
            patches.append(tf.reshape(by_channel, [-1, channels * PATCH_SIZE**2]))
        return patches

    compiled = cut.get_concrete_function()
    return lambda images, positions: compiled(split(images), positions)
