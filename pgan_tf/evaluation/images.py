"""The images that are compared: reals of a pyramid, fakes of a generator."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pgan_tf.data.order import records_at
from pgan_tf.distribution.strategy import local_replicas
from pgan_tf.runs.grids import Generate, draw_latents, enlarge, to_uint8
from pgan_tf.step.microbatches import split_over_cores
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Pyramid

# Seeds that keep random choices apart; and pixels of a batch, which bound its memory.
_MIRRORING, _LABELS = 1, 1 << 20
_PIXELS_AT_ONCE = 1 << 22
_MOST_AT_ONCE = 256


def default_batch_size(resolution: int) -> int:
    """Images of this many pixels a side at a time: 256 small ones, 4 of 1024x1024."""
    return int(np.clip(_PIXELS_AT_ONCE // resolution**2, 1, _MOST_AT_ONCE))


@dataclasses.dataclass(frozen=True)
class Reals:
    """Draws of reals without repetition, in an order that is a pure function of the seed.

    Attributes:
      pyramid: where they are.
      resolution: of the level that is read.
      seed: of the order, and of which are mirrored.
      mirror: whether each is mirrored left-right with probability 1/2, as training may do.
    """

    pyramid: Pyramid
    resolution: int
    seed: int
    mirror: bool

    def read(self, first: int, count: int) -> Iterator[np.ndarray]:
        """Images `first` to `first + count` of the order, as `[b h w c]` uint8.

        Raises:
          UserError: a record is damaged.
        """
        level = self.pyramid.level(self.resolution)
        size = default_batch_size(self.resolution)
        for start in range(first, first + count, size):
            positions = np.arange(start, min(start + size, first + count), dtype=np.int64)
            records = records_at(positions, count=self.pyramid.count, seed=self.seed)
            images = level.read(records).transpose(0, 2, 3, 1)
            if self.mirror:
                chosen = self._mirrored(positions)
                images[chosen] = images[chosen, :, ::-1]
            yield images

    def _mirrored(self, positions: np.ndarray) -> np.ndarray:
        draws = np.random.default_rng([_MIRRORING, self.seed]).random(int(positions[-1]) + 1)
        return draws[positions] < 0.5

    def draw_labels(self, count: int) -> np.ndarray | None:
        """`[count n]` labels of other images of the data, as they are distributed there, or None.

        Those of images drawn without repetition, so that rare labels come as often as they should.
        """
        if self.pyramid.labels is None:
            return None
        positions = np.arange(count, dtype=np.int64)
        records = records_at(positions, count=self.pyramid.count, seed=self.seed + _LABELS)
        return np.asarray(self.pyramid.labels[records])


@dataclasses.dataclass(frozen=True)
class Fakes:
    """What a generator makes of latents that depend on the seed and an image's number alone.

    Attributes:
      origin: what the generator is called in messages.
      generate: the generator.
      latent_size: components of a latent vector.
      labels: `[n label_size]` for at least as many images as are asked for, or None.
      resolution: what smaller images are enlarged to, by repetition, as the original does.
      seed: of the latents.
      batch_size: images at a time.
    """

    origin: str
    generate: Generate
    latent_size: int
    labels: np.ndarray | None
    resolution: int
    seed: int
    batch_size: int

    def read(self, count: int) -> Iterator[np.ndarray]:
        """The first `count` images, as `[b h w c]` uint8.

        Raises:
          UserError: some are not finite.
        """
        latents = draw_latents(count, self.latent_size, seed=self.seed)
        for start in range(0, count, self.batch_size):
            chosen = slice(start, min(start + self.batch_size, count))
            labels = None if self.labels is None else self.labels[chosen]
            images = self.generate(latents[chosen], labels)
            finite = np.isfinite(images)
            if not finite.all():
                broken = np.count_nonzero(~finite.all(axis=(1, 2, 3)))
                raise UserError(
                    f"{self.origin}: a broken network: its images must be finite. Received: NaN or "
                    f"infinity in {broken} of images {start} to {chosen.stop - 1}"
                )
            yield enlarge(to_uint8(images), self.resolution // images.shape[1])


class OnReplicas:
    """A generator that shares out every batch over the replicas of a strategy.

    Batches are filled up to one size, so that one graph serves all of them. Of several workers,
    only the one that calls it generates.
    """

    def __init__(
        self,
        call: Callable[[tf.Tensor, tf.Tensor | None], Any],
        strategy: tf.distribute.Strategy,
        *,
        batch_size: int,
        label_size: int,
    ):
        """
        Args:
          call: (latents, labels or None) -> images, on one replica.
          strategy: whose replicas have the weights.
          batch_size: images a replica at a time.
          label_size: components of a label, 0 without labels.
        """
        self._strategy = strategy
        local = local_replicas(strategy)
        # Other workers are not here to take part in what a strategy may do around a run, so one of
        # several generates by itself, on its first device.
        self._shared = local == strategy.num_replicas_in_sync
        self._replicas = local if self._shared else 1
        self._replica_size = batch_size
        self._label_size = label_size

        def on_replica(latents: tf.Tensor, labels: tf.Tensor) -> Any:
            return call(latents, labels if label_size else None)

        on_cores = split_over_cores(on_replica, batch_size, replicas=self._replicas)

        @tf.function
        def run(latents: Any, labels: Any) -> Any:
            if self._shared:
                return strategy.run(on_cores, (latents, labels))
            return on_cores(latents, labels)

        self._run = run
        self._graph: Callable[[Any, Any], Any] | None = None

    @property
    def batch_size(self) -> int:
        """Images of a full batch, over all replicas."""
        return self._replica_size * self._replicas

    def __call__(self, latents: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """`sampling.Generate`, of up to `batch_size` images."""
        count = len(latents)
        if labels is None:
            labels = np.zeros([count, self._label_size], np.float32)
        inputs = self._split(latents), self._split(labels)
        if self._graph is None:
            # By way of `run` itself, TensorFlow would warn of a new graph for every generator.
            self._graph = self._run.get_concrete_function(*inputs)
        parts = self._graph(*inputs)
        results = self._strategy.experimental_local_results(parts) if self._shared else [parts]
        return np.concatenate([np.asarray(part, np.float32) for part in results])[:count]

    def _split(self, array: np.ndarray) -> Any:
        filled = np.resize(array, (self.batch_size, array.shape[1]))

        if not self._shared:
            return tf.constant(filled)

        def part(context: Any) -> tf.Tensor:
            start = context.replica_id_in_sync_group * self._replica_size
            return tf.constant(filled[start : start + self._replica_size])

        return self._strategy.experimental_distribute_values_from_function(part)
