"""Batches of a pyramid on disk, read by record number in the order of `order.py`."""

import functools
from collections.abc import Generator, Iterable
from typing import NamedTuple

import numpy as np

from pgan_tf.config.phases import Step
from pgan_tf.data.memory.buffers import Buffers
from pgan_tf.data.memory.read_ahead import read_ahead
from pgan_tf.data.worker_data import WorkerData
from tfrecords_tools.host import core_count

# Threads that read a batch each, at most. Copying and checksums release the interpreter's lock, the
# rest of reading does not, so more threads would wait for each other.
_MOST_READERS = 4

# Images of fewer bytes are gathered by NumPy, larger ones copied one by one into used memory.
_LARGE_IMAGE_BYTES = 1 << 14


class Batch(NamedTuple):
    """A global batch, or a worker's shard of it, in host memory. b is the number of its images.

    Attributes:
      images: `[b c h w]` uint8 or uint16.
      labels: `[b n]` float32, of the images; n is 0 without labels.
      fake_labels: `[b n]` float32, drawn from the data's, for the generator's step.
      validation_images: `[v c h w]`, held-out images to score, the same for all workers; None
        if none are scored.
    """

    images: np.ndarray
    labels: np.ndarray
    fake_labels: np.ndarray
    validation_images: np.ndarray | None = None


def read_batches(
    data: WorkerData, steps: Iterable[Step]
) -> Generator[tuple[Step, Batch], None, None]:
    """Read the batch of every step, some steps ahead of the one that is asked for.

    Args:
      data: on a disk.
      steps: the iterations to come, in order (`Schedule.steps`).

    Raises:
      UserError: a record is damaged.
    """
    read = functools.partial(read_batch, data, buffers=Buffers())
    threads = min(_MOST_READERS, core_count())
    return read_ahead(steps, read, size=data.batch_bytes, threads=threads)


def read_batch(data: WorkerData, step: Step, *, buffers: Buffers | None = None) -> Batch:
    """Read one step's batch.

    Args:
      data: on a disk.
      step: the iteration.
      buffers: memory for large images.

    Raises:
      UserError: a record is damaged.
      ValueError: the batch does not split evenly into the shards of all workers.
    """
    records, level = data.records(step), data.level(step)
    large = level.image_bytes >= _LARGE_IMAGE_BYTES
    out = buffers.empty((len(records), *level.shape), level.dtype) if buffers and large else None
    return make_batch(data, step, records, level.read(records, out=out))


def make_batch(data: WorkerData, step: Step, records: np.ndarray, images: np.ndarray) -> Batch:
    """Make a step's batch from the numbers of its records and their images."""
    scored = None if data.scored is None else data.scored.read(step)
    if not data.label_size or data.pyramid.labels is None:
        empty = np.zeros([len(records), 0], np.float32)
        return Batch(images, empty, empty, scored)
    labels_of = data.pyramid.labels_of
    return Batch(images, labels_of(records), labels_of(data.fake_label_records(step)), scored)
