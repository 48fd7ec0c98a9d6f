"""A worker's share of the images of a pyramid, in the order in which they are trained on."""

import dataclasses

import numpy as np

from pgan_tf.config.phases import Step
from pgan_tf.data.held_out import ValidationImages, trained_on
from pgan_tf.data.order import WHOLE, Shard, records_at
from tfrecords_tools.format import Level, Pyramid

# Random streams other than the order of records.
_FAKE_LABELS = 1


@dataclasses.dataclass(frozen=True)
class WorkerData:
    """The records of which a worker's share of each batch is made.

    Attributes:
      pyramid: all images.
      seed: of their order. A stream's depends on images_seen at its beginning, too.
      label_size: 0 leaves labels out.
      shard: of every batch. All workers' shards together are the whole batch.
      validation_images: number of images that are held out.
      scored: those of them that steps score; None if they score none.
    """

    pyramid: Pyramid
    _: dataclasses.KW_ONLY
    seed: int
    label_size: int = 0
    shard: Shard = WHOLE
    validation_images: int = 0
    scored: ValidationImages | None = None

    @property
    def count(self) -> int:
        """Number of images that all workers train on."""
        return self.pyramid.count - self.validation_images

    def level(self, step: Step) -> Level:
        """Return the level that a step trains on."""
        return self.pyramid.level(step.phase.resolution)

    def records(self, step: Step) -> np.ndarray:
        """Return the record numbers `[b]` of this shard's images of a step, for data on a disk.

        Raises:
          ValueError: the batch does not split evenly into `shard.count` shards.
        """
        batch = np.arange(step.phase.batch_size, dtype=np.int64)
        positions = step.images_seen + self.shard.of(batch)
        return self._trained_on(records_at(positions, count=self.count, seed=self.seed))

    def fake_label_records(self, step: Step) -> np.ndarray:
        """Return the record numbers `[b]` of the images whose labels a step's fakes are given."""
        # Drawn for the whole batch, so that they are the same whatever the number of workers.
        counter = [0, 0, 0, step.images_seen]
        stream = np.random.Philox(key=[self.seed, _FAKE_LABELS], counter=counter)
        drawn = np.random.Generator(stream).integers(self.count, size=step.phase.batch_size)
        return self._trained_on(self.shard.of(drawn))

    def batch_bytes(self, step: Step) -> int:
        """Return the size of the images of a step's batch, those that are scored included."""
        images = step.phase.batch_size // self.shard.count
        size = images * self.level(step).image_bytes
        return size if self.scored is None else size + self.scored.bytes_of(step)

    def _trained_on(self, numbers: np.ndarray) -> np.ndarray:
        return trained_on(
            numbers, num_images=self.pyramid.count, validation_images=self.validation_images
        )
