"""From a pyramid to batches, in an order that is a pure function of (seed, images_seen).

Every epoch is a permutation of the whole dataset, computed one record number at a time, so nothing
is buffered, and a run that continues, or changes its batch size between stages, neither repeats nor
misses an image within an epoch. Batches are read ahead in the background, across stage switches
too, since the schedule tells what comes next.
"""

import collections
import concurrent.futures
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pgan_tf.config.phases import Step
from pgan_tf.data.memory.buffers import Buffers
from pgan_tf.data.training_data import TrainingData
from tfrecords_tools.host import core_count

# How far ahead batches are read: so many steps, unless their images take more than so many bytes.
# Small images have short steps, and the first reads of the next level may find a slow disk.
READ_AHEAD_STEPS = 64
READ_AHEAD_BYTES = 256 << 20
_LEAST_STEPS_AHEAD = 2

# Threads that read a batch each, at most. Copying and checksums let the interpreter go, the rest of
# reading does not, so that more of them would wait for each other.
_MOST_READERS = 4

# Random streams other than the order of records.
_FAKE_LABELS = 1

# Record numbers are computed so many at once: one alone takes as long as hundreds.
_BLOCK = 8192
_BLOCKS_KEPT = 8

# Images of fewer bytes are gathered by NumPy, larger ones copied one by one into used memory.
_LARGE_IMAGE_BYTES = 1 << 14


@dataclasses.dataclass(frozen=True)
class Part:
    """Which part of every global batch one worker reads.

    Worker i of n reads every n-th image of a global batch, from the i-th on: dealt like cards, the
    groups of minibatch stddev (sample j is in group j mod groups) hold the same images whatever n
    is.

    Attributes:
      index: of the worker, in 0..count-1.
      count: number of workers.
    """

    index: int = 0
    count: int = 1


WHOLE = Part()


class Batch(NamedTuple):
    """A global batch, or a worker's part of it, in host memory. b is the number of its images.

    Attributes:
      images: `[b c h w]` uint8.
      labels: `[b n]` float32, of the images; n is 0 without labels.
      fake_labels: `[b n]` float32, drawn from the data's, for the generator's step.
    """

    images: np.ndarray
    labels: np.ndarray
    fake_labels: np.ndarray


def read_batches(
    pyramid: TrainingData, steps: Iterable[Step], *, seed: int, label_size: int, part: Part = WHOLE
) -> Iterator[tuple[Step, Batch]]:
    """Reads the batch of every step by record number, some steps ahead of where it is asked for.

    Args:
      pyramid: where to read.
      steps: the iterations to come, in order (`Schedule.steps`).
      seed: of the order of images.
      label_size: 0 leaves labels out.
      part: what of each batch to read. The parts of all workers together are the whole batch.

    Raises:
      UserError: a record is damaged.
    """
    read = functools.partial(
        read_batch, pyramid, seed=seed, label_size=label_size, part=part, buffers=Buffers()
    )
    threads = min(_MOST_READERS, core_count())
    return read_ahead(steps, read, channels=pyramid.channels, part=part, threads=threads)


def read_ahead(
    steps: Iterable[Step],
    read: Callable[[Step], Batch],
    *,
    channels: int,
    part: Part,
    threads: int = 1,
) -> Iterator[tuple[Step, Batch]]:
    """Calls `read` for one step after the other, in other threads, ahead of where it is asked for.

    Args:
      steps: the iterations to come.
      read: gives a step's batch; what it raises is raised at that step.
      channels: of the images, to know how much memory a batch takes.
      part: what of each batch is read.
      threads: how many steps may be read at once; with 1 each is read after the one before it.
    """

    def image_bytes(step: Step) -> int:
        return step.phase.batch_size // part.count * channels * step.phase.resolution**2

    remaining = iter(steps)
    upcoming = next(remaining, None)
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="reader")
    pending: collections.deque[tuple[Step, concurrent.futures.Future[Batch]]] = collections.deque()
    pending_bytes = 0
    try:
        while upcoming or pending:
            while upcoming and (
                len(pending) < _LEAST_STEPS_AHEAD
                or (
                    len(pending) < READ_AHEAD_STEPS
                    and pending_bytes + image_bytes(upcoming) <= READ_AHEAD_BYTES
                )
            ):
                pending.append((upcoming, pool.submit(read, upcoming)))
                pending_bytes += image_bytes(upcoming)
                upcoming = next(remaining, None)
            step, future = pending.popleft()
            pending_bytes -= image_bytes(step)
            yield step, future.result()
    finally:
        # Whoever stops early waits for no batches but those that are being read.
        pool.shutdown(cancel_futures=True)


def read_batch(
    pyramid: TrainingData,
    step: Step,
    *,
    seed: int,
    label_size: int,
    part: Part = WHOLE,
    buffers: Buffers | None = None,
) -> Batch:
    """Reads one step's batch, or a part of it.

    Args:
      pyramid: where to read.
      step: the iteration to read for.
      seed: of the order of images.
      label_size: 0 leaves labels out.
      part: what of the batch to read.
      buffers: memory for large images.

    Raises:
      UserError: a record is damaged.
      ValueError: the batch does not split evenly into `part.count` parts.
    """
    positions = step.images_seen + dealt(np.arange(step.phase.batch_size, dtype=np.int64), part)
    records = records_at(positions, count=pyramid.count, seed=seed)
    shape = (len(records), pyramid.channels, step.phase.resolution, step.phase.resolution)
    large = math.prod(shape[1:]) >= _LARGE_IMAGE_BYTES
    out = buffers.empty(shape) if buffers and large else None
    images = pyramid.level(step.phase.resolution).read(records, out=out)
    return with_labels(pyramid, step, images, records, seed=seed, label_size=label_size, part=part)


def with_labels(
    pyramid: TrainingData,
    step: Step,
    images: np.ndarray,
    records: np.ndarray,
    *,
    seed: int,
    label_size: int,
    part: Part,
) -> Batch:
    """The batch of a step, or a part of it, from its images and their record numbers."""
    if not label_size or pyramid.labels is None:
        empty = np.zeros([len(records), 0], np.float32)
        return Batch(images, empty, empty)
    # Drawn for the whole batch, so that they are the same whatever the number of workers.
    stream = np.random.Philox(key=[seed, _FAKE_LABELS], counter=[0, 0, 0, step.images_seen])
    drawn = np.random.Generator(stream).integers(pyramid.count, size=step.phase.batch_size)
    of_fakes = dealt(drawn, part)
    return Batch(images, np.asarray(pyramid.labels[records]), np.asarray(pyramid.labels[of_fakes]))


def dealt(batch: np.ndarray, part: Part) -> np.ndarray:
    """The part of something global, `[b ...]`, that goes to one worker, `[b / n ...]`.

    Raises:
      ValueError: the batch does not split evenly into `part.count` parts.
    """
    if len(batch) % part.count or not 0 <= part.index < part.count:
        raise ValueError(f"a batch of {len(batch)} has no {part}")
    return batch[part.index :: part.count]


def records_at(positions: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """`[k]` int64 record numbers shown at `positions` `[k]` of training, counted in images.

    Position p is in epoch p // count, whose permutation depends on the seed and the epoch alone.
    """
    epochs, offsets = np.divmod(positions, count)
    blocks_per_epoch = -(-count // _BLOCK)
    blocks = epochs * blocks_per_epoch + offsets // _BLOCK
    records = np.empty_like(positions)
    for block in set(blocks.tolist()):
        epoch, number = divmod(block, blocks_per_epoch)
        shown = _block(number, count=count, seed=seed, epoch=epoch)
        chosen = blocks == block
        records[chosen] = shown[offsets[chosen] % _BLOCK]
    return records


@functools.lru_cache(_BLOCKS_KEPT)
def _block(number: int, *, count: int, seed: int, epoch: int) -> np.ndarray:
    """The part of an epoch's permutation from `number * _BLOCK` on."""
    start = number * _BLOCK
    offsets = np.arange(start, min(start + _BLOCK, count), dtype=np.int64)
    with tf.device("/CPU:0"):
        return tf.random.experimental.index_shuffle(
            offsets, seed=tf.constant([seed, epoch], tf.int64), max_index=count - 1
        ).numpy()
