"""Batches of a pyramid on disk, read by record number in the order of `order.py`."""

import functools
from collections.abc import Generator, Iterable
from typing import NamedTuple

import numpy as np

from pgan_tf.config.phases import Step
from pgan_tf.data.held_out import ValidationImages, trained_on
from pgan_tf.data.memory.buffers import Buffers
from pgan_tf.data.memory.read_ahead import read_ahead
from pgan_tf.data.order import WHOLE, Shard, records_at
from tfrecords_tools.format import Pyramid
from tfrecords_tools.host import core_count

# Threads that read a batch each, at most. Copying and checksums release the interpreter's lock, the
# rest of reading does not, so more threads would wait for each other.
_MOST_READERS = 4

# Random streams other than the order of records.
_FAKE_LABELS = 1

# Images of fewer bytes are gathered by NumPy, larger ones copied one by one into used memory.
_LARGE_IMAGE_BYTES = 1 << 14


class Batch(NamedTuple):
    """A global batch, or a worker's shard of it, in host memory. b is the number of its images.

    Attributes:
      images: `[b c h w]` uint8.
      labels: `[b n]` float32, of the images; n is 0 without labels.
      fake_labels: `[b n]` float32, drawn from the data's, for the generator's step.
      validation_images: `[v c h w]` uint8, held-out images to score, the same for all workers; None
        if none are scored.
    """

    images: np.ndarray
    labels: np.ndarray
    fake_labels: np.ndarray
    validation_images: np.ndarray | None = None


def read_batches(
    pyramid: Pyramid,
    steps: Iterable[Step],
    *,
    seed: int,
    label_size: int,
    shard: Shard = WHOLE,
    validation_images: int = 0,
    scored: ValidationImages | None = None,
) -> Generator[tuple[Step, Batch], None, None]:
    """Read the batch of every step, some steps ahead of the one that is asked for.

    Args:
      pyramid: the data.
      steps: the iterations to come, in order (`Schedule.steps`).
      seed: of the order of images.
      label_size: 0 leaves labels out.
      shard: of every batch. All workers' shards together are the whole batch.
      validation_images: number of images that are held out.
      scored: those of them that steps score; None if they score none.

    Raises:
      UserError: a record is damaged.
    """
    read = functools.partial(
        read_batch,
        pyramid,
        seed=seed,
        label_size=label_size,
        shard=shard,
        validation_images=validation_images,
        scored=scored,
        buffers=Buffers(),
    )
    size = functools.partial(batch_bytes, pyramid=pyramid, shard=shard, scored=scored)
    return read_ahead(steps, read, size=size, threads=min(_MOST_READERS, core_count()))


def read_batch(
    pyramid: Pyramid,
    step: Step,
    *,
    seed: int,
    label_size: int,
    shard: Shard = WHOLE,
    validation_images: int = 0,
    scored: ValidationImages | None = None,
    buffers: Buffers | None = None,
) -> Batch:
    """Read one step's batch, or a shard of it.

    Args:
      pyramid: the data.
      step: the iteration.
      seed: of the order of images.
      label_size: 0 leaves labels out.
      shard: of the batch.
      validation_images: number of images that are held out.
      scored: those of them that steps score; None if they score none.
      buffers: memory for large images.

    Raises:
      UserError: a record is damaged.
      ValueError: the batch does not split evenly into `shard.count` shards.
    """
    positions = step.images_seen + shard.of(np.arange(step.phase.batch_size, dtype=np.int64))
    numbers = records_at(positions, count=pyramid.count - validation_images, seed=seed)
    records = trained_on(numbers, num_images=pyramid.count, validation_images=validation_images)
    level = pyramid.level(step.phase.resolution)
    large = level.image_bytes >= _LARGE_IMAGE_BYTES
    out = buffers.empty((len(records), *level.shape)) if buffers and large else None
    images = level.read(records, out=out)
    return make_batch(
        pyramid,
        step,
        images,
        records,
        seed=seed,
        label_size=label_size,
        shard=shard,
        validation_images=validation_images,
        scored=scored,
    )


def make_batch(
    pyramid: Pyramid,
    step: Step,
    images: np.ndarray,
    records: np.ndarray,
    *,
    seed: int,
    label_size: int,
    shard: Shard,
    validation_images: int,
    scored: ValidationImages | None,
) -> Batch:
    """Make a step's batch, or a shard of it, from its images and their record numbers."""
    to_score = None if scored is None else scored.read(step)
    if not label_size or pyramid.labels is None:
        empty = np.zeros([len(records), 0], np.float32)
        return Batch(images, empty, empty, to_score)
    # Drawn for the whole batch, so that they are the same whatever the number of workers.
    stream = np.random.Philox(key=[seed, _FAKE_LABELS], counter=[0, 0, 0, step.images_seen])
    count = pyramid.count - validation_images
    drawn = np.random.Generator(stream).integers(count, size=step.phase.batch_size)
    fakes = trained_on(
        shard.of(drawn), num_images=pyramid.count, validation_images=validation_images
    )
    return Batch(images, pyramid.labels_of(records), pyramid.labels_of(fakes), to_score)


def batch_bytes(
    step: Step, *, pyramid: Pyramid, shard: Shard, scored: ValidationImages | None
) -> int:
    """Return the size of a shard's images of one step."""
    images = step.phase.batch_size // shard.count
    size = images * pyramid.level(step.phase.resolution).image_bytes
    return size if scored is None else size + scored.bytes_of(step)
