"""The images that are compared: reals of a stored set, fakes of a generator or another set.

Metrics see images of 8 bits with one or three channels: alpha is put on white, and values of 16
bits are reduced to 8, of reals and of fakes alike.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from pgan_tf.data.order import records_at
from pgan_tf.evaluation.image_sets import ImageSet
from pgan_tf.runs.batch_size import fitting_batch_size
from pgan_tf.runs.grids import draw_latents, enlarge
from tfrecords_tools.errors import UserError
from tfrecords_tools.pictures import over_white
from tfrecords_tools.shape import has_alpha

# Seeds that keep random choices apart.
_MIRRORING_SEED, _LABELS_SEED = 1, 1 << 20
# Limits of a batch, for its memory.
_MAX_BATCH_PIXELS = 1 << 22
_MAX_BATCH = 256


def default_batch_size(pixels: int) -> int:
    """Return the images per batch, by the pixels of an image: 256 small ones, 4 of 1024x1024."""
    return int(np.clip(_MAX_BATCH_PIXELS // pixels, 1, _MAX_BATCH))


def generation_batch_size(pixels: int, features: int) -> int:
    """Return the images per replica to generate at a time: on GPUs what fits, from 1 to 256.

    Args:
      pixels: of an image.
      features: numbers in the outputs of the generator's convolutions, for one image.
    """
    if not tf.config.list_logical_devices("GPU"):
        return default_batch_size(pixels)
    return fitting_batch_size(features, most=_MAX_BATCH)


@dataclasses.dataclass(frozen=True)
class Reals:
    """Reals drawn without repetition, in an order that is a pure function of the seed.

    Attributes:
      images: the data.
      seed: of the order, and of the choice of images that are mirrored.
      mirror: whether each is mirrored left-right with probability 1/2, as training may do.
      as_rgb: whether grayscale images are read as RGB, since the fakes are RGB.
    """

    images: ImageSet
    seed: int
    mirror: bool
    as_rgb: bool = False

    @property
    def count(self) -> int:
        """Number of images."""
        return self.images.count

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.size

    @property
    def channels(self) -> int:
        """Number of channels that metrics see, 1 or 3."""
        return 3 if self.as_rgb else opaque_channels(self.images.channels)

    @property
    def traits(self) -> dict[str, Any]:
        """Properties that metrics see of the images; see `ImageSet.traits`."""
        repeated = self.as_rgb and opaque_channels(self.images.channels) == 1
        return {**self.images.traits, **({"gray": "as RGB"} if repeated else {})}

    def read(self, first: int, count: int) -> Iterator[np.ndarray]:
        """Yield images `first` to `first + count` of the order, as `[b h w 1 or 3]` uint8.

        Raises:
          UserError: an image is damaged.
        """
        for positions in _in_batches(first, count, self.size):
            images = self.seen(self.images.read(self._numbers(positions)))
            if self.mirror:
                chosen = self._mirrored(positions)
                images[chosen] = images[chosen, :, ::-1]
            yield images

    def seen(self, images: np.ndarray) -> np.ndarray:
        """Return `[b h w c]` images with any channels as metrics see them, `[b h w 1 or 3]`."""
        opaque = over_white(images)
        return as_rgb(opaque) if self.as_rgb else opaque

    def labels_of(self, first: int, count: int) -> np.ndarray | None:
        """Return the labels of images `first` to `first + count`, `[count n]`; None without."""
        if not self.images.label_size:
            return None
        return self.images.labels_of(self._numbers(np.arange(first, first + count)))

    def draw_labels(self, count: int) -> np.ndarray | None:
        """Draw labels `[count n]` as they are distributed in the data; None without labels.

        They are those of images drawn without repetition, so that rare labels come as often as in
        the data.
        """
        if not self.images.label_size:
            return None
        positions = np.arange(count, dtype=np.int64)
        numbers = records_at(positions, count=self.count, seed=self.seed + _LABELS_SEED)
        return self.images.labels_of(numbers)

    def _numbers(self, positions: np.ndarray) -> np.ndarray:
        return records_at(positions, count=self.count, seed=self.seed)

    def _mirrored(self, positions: np.ndarray) -> np.ndarray:
        draws = np.random.default_rng([_MIRRORING_SEED, self.seed]).random(int(positions[-1]) + 1)
        return draws[positions] < 0.5


class FakeImages(Protocol):
    """The fakes of a comparison, numbered: of a generator, or of a stored set."""

    @property
    def origin(self) -> str:
        """Their name in messages."""

    @property
    def digest(self) -> str | None:
        """The digest of a stored set; None for a generator."""

    def read(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` images, as `[b h w 1 or 3]` uint8.

        Raises:
          UserError: some are not finite, or damaged.
        """
        ...

    def read_with_alpha(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` images with all channels that they have; see `read`."""
        ...

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """Return the images of some numbers `[n]`, as `[n h w c]` uint8 with all channels.

        Raises:
          UserError: some are not finite, or damaged.
        """
        ...

    def labels_of(self, first: int, count: int) -> np.ndarray | None:
        """Return labels `[count n]` of images in the data's columns; None where not known."""
        ...

    def name(self, number: int) -> str:
        """Return a short name of an image, for captions."""
        ...


@dataclasses.dataclass(frozen=True)
class StoredFakes:
    """Fakes of a stored set, drawn without repetition in the order that reals are drawn in.

    So a set that is compared with itself is compared image by image.

    Attributes:
      images: the set.
      seed: of the order.
      as_rgb: whether grayscale images are read as RGB, since the reals are RGB.
      labelled: whether the set's labels have the columns of the data's.
    """

    images: ImageSet
    seed: int
    as_rgb: bool = False
    labelled: bool = False

    @property
    def origin(self) -> str:
        """The path of the set."""
        return str(self.images.path)

    @property
    def digest(self) -> str:
        """The digest of the set."""
        return self.images.digest

    def read(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` images; see `FakeImages`."""
        yield from map(over_white, self.read_with_alpha(count))

    def read_with_alpha(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` images with all channels; see `FakeImages`."""
        for positions in _in_batches(0, count, self.images.size):
            yield self.at(positions)

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """Return the images of some numbers; see `FakeImages`."""
        images = self.images.read(self._stored(numbers))
        return as_rgb(images) if self.as_rgb else images

    def labels_of(self, first: int, count: int) -> np.ndarray | None:
        """Return labels in the data's columns; see `FakeImages`."""
        if not self.labelled:
            return None
        return self.images.labels_of(self._stored(np.arange(first, first + count)))

    def name(self, number: int) -> str:
        """Return the name of an image in its set."""
        return self.images.name(int(self._stored(np.array([number]))[0]))

    def _stored(self, numbers: np.ndarray) -> np.ndarray:
        return records_at(numbers, count=self.images.count, seed=self.seed)


def _in_batches(first: int, count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield positions `first` to `first + count`, as many at a time as suit images of a size."""
    step = default_batch_size(math.prod(size))
    for start in range(first, first + count, step):
        yield np.arange(start, min(start + step, first + count), dtype=np.int64)


def opaque_channels(channels: int) -> int:
    """Return the number of channels without alpha, 1 or 3."""
    return channels - has_alpha(channels)


def as_rgb(images: np.ndarray) -> np.ndarray:
    """Return `[b h w c]` images as RGB, with alpha if they have it: grays are repeated."""
    if opaque_channels(images.shape[3]) == 3:
        return images
    return images[..., [0, 0, 0, *range(1, images.shape[3])]]


class EvaluatedImages(Protocol):
    """A saved generator or a stored set, as one of those to evaluate."""

    @property
    def file(self) -> Path:
        """The generator's file; the folder or archive of a set."""

    @property
    def label(self) -> str:
        """Name in tables and in names of results."""

    @property
    def images_seen(self) -> int | None:
        """Real images that a generator was trained on, if known."""

    @property
    def digest(self) -> str:
        """Text that changes whenever the images may."""

    def check(self, reals: Reals, labels: Reals) -> None:
        """Check, without loading anything, that the images can be compared with the reals.

        Raises:
          UserError: they can't.
        """

    def load(
        self,
        reals: Reals,
        labels: Reals,
        *,
        strategy: tf.distribute.Strategy,
        batch_size: int | None,
        count: int,
    ) -> FakeImages:
        """Return the images; arguments as of `snapshots.load_fakes`.

        Raises:
          UserError: they can't be loaded.
        """
        ...


class GeneratedImages(NamedTuple):
    """A batch of a generator's images.

    Attributes:
      images: `[b h w c]` uint8.
      finite: `[b]` bool, whether the generator's output was.
    """

    images: np.ndarray
    finite: np.ndarray


@dataclasses.dataclass(frozen=True)
class Fakes:
    """Images of a generator, of latents that depend on the seed and the image's number alone.

    Attributes:
      origin: name of the generator in messages.
      generate: the generator.
      latent_size: components of a latent vector.
      labels: `[n label_size]` for at least as many images as are read, or None.
      size: height and width; smaller images are enlarged by repetition, as the original does.
      seed: of the latents.
      batch_size: images at a time.
      as_rgb: whether grayscale images are read as RGB, since the reals are RGB.
    """

    origin: str
    generate: Callable[[np.ndarray, np.ndarray | None], GeneratedImages]
    latent_size: int
    labels: np.ndarray | None
    size: tuple[int, int]
    seed: int
    batch_size: int
    as_rgb: bool = False
    digest: None = dataclasses.field(default=None, init=False)

    def read(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` images, as `[b h w 1 or 3]` uint8.

        Raises:
          UserError: some are not finite.
        """
        yield from map(over_white, self.read_with_alpha(count))

    def read_with_alpha(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` images with all channels that they have; see `read`."""
        latents = draw_latents(count, self.latent_size, seed=self.seed)
        for start in range(0, count, self.batch_size):
            yield self._images(latents, np.arange(start, min(start + self.batch_size, count)))

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """Return the images of some numbers `[n]`, as `[n h w c]` uint8 with all channels.

        Raises:
          UserError: some are not finite.
        """
        latents = draw_latents(int(numbers.max()) + 1, self.latent_size, seed=self.seed)
        starts = range(0, len(numbers), self.batch_size)
        batches = [numbers[start : start + self.batch_size] for start in starts]
        return np.concatenate([self._images(latents, batch) for batch in batches])

    def labels_of(self, first: int, count: int) -> np.ndarray | None:
        """Return the labels of images `first` to `first + count`, `[count n]`; None without."""
        return None if self.labels is None else self.labels[first : first + count]

    def name(self, number: int) -> str:
        """Return the number of an image in words."""
        return f"fake {number}"

    def _images(self, latents: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        labels = None if self.labels is None else self.labels[numbers]
        images, finite = self.generate(latents[numbers], labels)
        broken = np.count_nonzero(~finite)
        if broken:
            raise UserError(
                f"{self.origin}: a broken network: its images must be finite. Received: NaN or "
                f"infinity in {broken} of images {numbers[0]} to {numbers[-1]}"
            )
        images = as_rgb(images) if self.as_rgb else images
        return enlarge(images, self.size[0] // images.shape[1])
