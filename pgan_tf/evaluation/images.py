"""The images that are compared: reals of a pyramid and fakes of a generator.

Metrics see images of 8 bits with one or three channels: alpha is put on white, and values of 16
bits are reduced to 8, of reals and of fakes alike.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pgan_tf.data.order import records_at
from pgan_tf.distribution.strategy import local_replicas
from pgan_tf.runs.batch_size import fitting_batch_size
from pgan_tf.runs.grids import draw_latents, enlarge, quantize
from pgan_tf.step.microbatches import split_over_cores
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Level, Pyramid
from tfrecords_tools.pictures import over_white, to_8_bits

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


def read_images(level: Level, records: np.ndarray) -> np.ndarray:
    """Read images of a level by number, as `[k h w c]` of 8 bits; alpha stays a channel.

    Raises:
      UserError: a record is damaged.
    """
    return to_8_bits(level.read(records).transpose(0, 2, 3, 1))


def traits(pyramid: Pyramid, resolution: int) -> dict[str, Any]:
    """Return how metrics see images of a level; of RGB or grayscale squares of 8 bits, nothing.

    For keys of caches and settings of results, which so stay as they were for such squares.
    """
    found = {}
    if not pyramid.base.is_square:
        found["size"] = pyramid.base.text_at(resolution)
    if pyramid.has_alpha:
        found["alpha"] = "on white"
    if pyramid.bits != 8:
        found["bits"] = f"{pyramid.bits}, reduced to 8"
    return found


@dataclasses.dataclass(frozen=True)
class Reals:
    """Reals drawn without repetition, in an order that is a pure function of the seed.

    Attributes:
      pyramid: the data.
      resolution: of the level that is read.
      seed: of the order, and of the choice of images that are mirrored.
      mirror: whether each is mirrored left-right with probability 1/2, as training may do.
    """

    pyramid: Pyramid
    resolution: int
    seed: int
    mirror: bool

    @property
    def level(self) -> Level:
        """The level that is read."""
        return self.pyramid.level(self.resolution)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.level.shape[1:]

    @property
    def channels(self) -> int:
        """Number of channels that metrics see, 1 or 3."""
        return self.pyramid.channels - self.pyramid.has_alpha

    def read(self, first: int, count: int) -> Iterator[np.ndarray]:
        """Yield images `first` to `first + count` of the order, as `[b h w 1 or 3]` uint8.

        Raises:
          UserError: a record is damaged.
        """
        size = default_batch_size(math.prod(self.size))
        for start in range(first, first + count, size):
            positions = np.arange(start, min(start + size, first + count), dtype=np.int64)
            records = records_at(positions, count=self.pyramid.count, seed=self.seed)
            images = over_white(read_images(self.level, records))
            if self.mirror:
                chosen = self._mirrored(positions)
                images[chosen] = images[chosen, :, ::-1]
            yield images

    def _mirrored(self, positions: np.ndarray) -> np.ndarray:
        draws = np.random.default_rng([_MIRRORING_SEED, self.seed]).random(int(positions[-1]) + 1)
        return draws[positions] < 0.5

    def draw_labels(self, count: int) -> np.ndarray | None:
        """Draw labels `[count n]` as they are distributed in the data; None without labels.

        They are those of images drawn without repetition, so that rare labels come as often as in
        the data.
        """
        if self.pyramid.labels is None:
            return None
        positions = np.arange(count, dtype=np.int64)
        records = records_at(positions, count=self.pyramid.count, seed=self.seed + _LABELS_SEED)
        return self.pyramid.labels_of(records)


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
    """

    origin: str
    generate: Callable[[np.ndarray, np.ndarray | None], GeneratedImages]
    latent_size: int
    labels: np.ndarray | None
    size: tuple[int, int]
    seed: int
    batch_size: int

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

    def _images(self, latents: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        labels = None if self.labels is None else self.labels[numbers]
        images, finite = self.generate(latents[numbers], labels)
        broken = np.count_nonzero(~finite)
        if broken:
            raise UserError(
                f"{self.origin}: a broken network: its images must be finite. Received: NaN or "
                f"infinity in {broken} of images {numbers[0]} to {numbers[-1]}"
            )
        return enlarge(images, self.size[0] // images.shape[1])


class ReplicatedGenerator:
    """A generator that splits every batch over the replicas of a strategy.

    Batches are filled up to one size, so that one graph serves all of them. Of several workers,
    only the calling one generates.
    """

    def __init__(
        self,
        call: Callable[[tf.Tensor, tf.Tensor | None], Any],
        strategy: tf.distribute.Strategy,
        *,
        batch_size: int,
        label_size: int,
    ):
        """Build no graph yet.

        Args:
          call: (latents, labels or None) -> images, on one replica.
          strategy: the strategy whose replicas have the weights.
          batch_size: images per replica at a time.
          label_size: components of a label, 0 without labels.
        """
        self._strategy = strategy
        local = local_replicas(strategy)
        # `strategy.run` may need all workers, and the others don't call this. So one of several
        # workers generates by itself, on its first device.
        self._distributed = local == strategy.num_replicas_in_sync
        self._replicas = local if self._distributed else 1
        self._replica_size = batch_size
        self._label_size = label_size

        def on_replica(latents: tf.Tensor, labels: tf.Tensor) -> Any:
            return call(latents, labels if label_size else None)

        on_cores = split_over_cores(on_replica, batch_size, replicas=self._replicas)

        def quantized(latents: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.cast(on_cores(latents, labels), tf.float32)
            return quantize(images), tf.reduce_all(tf.math.is_finite(images), axis=[1, 2, 3])

        @tf.function
        def run(latents: Any, labels: Any) -> Any:
            if self._distributed:
                return strategy.run(quantized, (latents, labels))
            return quantized(latents, labels)

        self._run = run
        self._graph: Callable[[Any, Any], Any] | None = None

    @property
    def batch_size(self) -> int:
        """Images of a full batch, over all replicas."""
        return self._replica_size * self._replicas

    def __call__(self, latents: np.ndarray, labels: np.ndarray | None) -> GeneratedImages:
        """Generate up to `batch_size` images of latents `[b latent_size]` and labels or None."""
        count = len(latents)
        if labels is None:
            labels = np.zeros([count, self._label_size], np.float32)
        inputs = self._split(latents), self._split(labels)
        if self._graph is None:
            # Calling `run` itself, TensorFlow would warn of a new graph for every generator.
            self._graph = self._run.get_concrete_function(*inputs)
        return GeneratedImages(*(self._gather(output)[:count] for output in self._graph(*inputs)))

    def _gather(self, output: Any) -> np.ndarray:
        """Return the rows of all replicas."""
        if not self._distributed:
            return output.numpy()
        shards = self._strategy.experimental_local_results(output)
        return np.concatenate([shard.numpy() for shard in shards])

    def _split(self, array: np.ndarray) -> Any:
        """Fill an array up to a full batch, and deal consecutive rows to the replicas."""
        filled = np.resize(array, (self.batch_size, array.shape[1]))

        if not self._distributed:
            return tf.constant(filled)

        def shard(context: Any) -> tf.Tensor:
            start = context.replica_id_in_sync_group * self._replica_size
            return tf.constant(filled[start : start + self._replica_size])

        return self._strategy.experimental_distribute_values_from_function(shard)
