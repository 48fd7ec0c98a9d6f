"""Batches of a remote pyramid: a stream of large reads, shuffled in a buffer.

Each worker streams its own shard of a level: it reads chunks of some megabytes, in a new order in
every pass, and mixes their records in a buffer of bounded memory. In each pass every image of the
shard comes once. A pass begins anew with the process and with each level.
"""

import collections
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np
import tensorflow as tf

from pgan_tf.config.phases import Step
from pgan_tf.data.batches import Batch, make_batch
from pgan_tf.data.held_out import held_out_indices
from pgan_tf.data.memory.read_ahead import read_ahead
from pgan_tf.data.order import WHOLE, Shard
from pgan_tf.data.remote import explained
from pgan_tf.data.worker_data import WorkerData
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import Level
from tfrecords_tools.format.level import RecordFile

# From a chunk of `_chunks` to record numbers and records.
_Read = Callable[[dict[str, tf.Tensor]], tf.data.Dataset]

SHUFFLE_BYTES = 256 << 20
# The size of one read: far more than arrives during the delay of a request.
_CHUNK_BYTES = 4 << 20
# So that small levels, too, come in a new order in every pass.
_LEAST_CHUNKS = 16
_CHUNKS_AT_ONCE = 8
# A level's stream begins so many steps before its first batch is needed: time to fill the buffer.
OPEN_AHEAD_STEPS = 4096
# TensorFlow's memory for a record beside its bytes, about.
_RECORD_OVERHEAD = 128


def stream_batches(
    data: WorkerData, steps: Iterable[Step]
) -> Generator[tuple[Step, Batch], None, None]:
    """Stream the batch of every step, some steps ahead of the one that is asked for.

    Args:
      data: behind a URL.
      steps: the iterations to come, in order (`Schedule.steps`).

    Raises:
      UserError: a record is damaged, or can't be read.
    """
    streams = _Streams(data)

    def read(step: Step) -> Batch:
        return make_batch(data, step, *streams.read(step))

    try:
        yield from read_ahead(streams.opened_ahead(steps), read, size=data.batch_bytes)
    finally:
        streams.close()


def shuffle_size(level: Level, shard: Shard = WHOLE) -> int:
    """Return the number of a level's images that the shuffle buffer holds."""
    images = -(-level.count // shard.count)
    return max(1, min(images, SHUFFLE_BYTES // (level.size // level.count + _RECORD_OVERHEAD)))


class _Streams:
    """The streams of the level that is trained, and of the next one. Two threads share it."""

    def __init__(self, data: WorkerData):
        self._data = data
        self._held_out = held_out_indices(data.pyramid.count, data.validation_images)
        self._lock = threading.Lock()
        self._streams: dict[int, _LevelStream] = {}
        self._waiting: collections.deque[Step] = collections.deque()

    def opened_ahead(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Pass steps on, and open their levels' streams some time before."""
        window: collections.deque[Step] = collections.deque()
        resolution = None
        for step in steps:
            if step.phase.resolution != resolution:
                resolution = step.phase.resolution
                with self._lock:
                    self._waiting.append(step)
                    self._open()
            window.append(step)
            if len(window) > OPEN_AHEAD_STEPS:
                yield window.popleft()
        yield from window

    def read(self, step: Step) -> tuple[np.ndarray, np.ndarray]:
        """Return the record numbers and the images of a step's shard."""
        resolution = step.phase.resolution
        with self._lock:
            for passed in [r for r in self._streams if r < resolution]:
                self._streams.pop(passed).close()
            self._open()
            stream = self._streams[resolution]
        return stream.read()

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            self._waiting.clear()
            while self._streams:
                self._streams.popitem()[1].close()

    def _open(self) -> None:
        """Open waiting streams, but only one level ahead: buffers take memory."""
        while self._waiting and len(self._streams) < 2:
            step = self._waiting.popleft()
            level, shard = self._data.level(step), self._data.shard
            size = step.phase.batch_size // shard.count
            seeds = np.random.SeedSequence([self._data.seed, step.images_seen, shard.index])
            seed = int(seeds.generate_state(1)[0])
            stream = _LevelStream(level, size, seed, shard, self._held_out)
            self._streams[step.phase.resolution] = stream


class _LevelStream:
    """Endless batches of one level's records. The first is requested at once."""

    def __init__(
        self, level: Level, batch_size: int, seed: int, shard: Shard, held_out: np.ndarray
    ):
        self._level = level
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="stream")
        self._make = functools.partial(_dataset, level, batch_size, seed, shard, held_out)
        self._first: concurrent.futures.Future | None = self._pool.submit(self._begin)

    def _begin(self) -> tuple[tf.Tensor, tf.Tensor]:
        # On the CPU: strings have no place on a GPU.
        with tf.device("/CPU:0"):
            self._iterator = iter(self._make())
            return next(self._iterator)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return record numbers `[k]` and images `[k c h w]`."""
        urls = [file.source.location for file in self._level.files]
        with explained(urls[0] if len(urls) == 1 else f"{urls[0]} to {urls[-1]}"):
            if self._first is not None:
                numbers, records = self._first.result()
                self._first = None
            else:
                with tf.device("/CPU:0"):
                    numbers, records = next(self._iterator)
        numbers = numbers.numpy()
        return numbers, self._level.decode(numbers, records.numpy())

    def close(self) -> None:
        """End the stream, without waiting for a read that is under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _dataset(
    level: Level, batch_size: int, seed: int, shard: Shard, held_out: np.ndarray
) -> tf.data.Dataset:
    """Return endless batches of record numbers and records, without those that are held out."""
    chunks = _chunks(level, shard)
    fixed = level.files[0].offsets.record_bytes is not None
    read: _Read = _read_raw if fixed else functools.partial(_read_png, level)
    if len(held_out):
        read = _without(read, _is_held_out(level, chunks, held_out))
    return (
        tf.data.Dataset.from_tensor_slices(chunks)
        .shuffle(len(chunks["url"]), seed=seed)
        .interleave(
            read,
            cycle_length=_CHUNKS_AT_ONCE,
            num_parallel_calls=_CHUNKS_AT_ONCE,
            deterministic=True,
        )
        .shuffle(shuffle_size(level, shard), seed=seed)
        .repeat()
        .batch(batch_size)
        .prefetch(2)
    )


def _is_held_out(level: Level, chunks: dict[str, np.ndarray], held_out: np.ndarray) -> np.ndarray:
    """Return which images are held out, `[level.count]` bool.

    Raises:
      UserError: these are all images of the chunks.
    """
    mask = np.zeros(level.count, bool)
    mask[held_out] = True
    ranges = zip(chunks["first"], chunks["records"], strict=True)
    if all(mask[first : first + records].all() for first, records in ranges):
        where = level.files[0].source.location
        raise UserError(
            f"{where}: --validation_images must leave every worker images to train on. "
            f"Received: {len(held_out)} of {level.count}"
        )
    return mask


def _without(read: _Read, mask: np.ndarray) -> _Read:
    """Return the same function, without the records whose numbers are in a mask `[count]`."""
    is_left_out = tf.constant(mask)
    return lambda chunk: read(chunk).filter(lambda number, _: ~is_left_out[number])


def _chunks(level: Level, shard: Shard) -> dict[str, np.ndarray]:
    """Return a shard's chunks of a level: every `shard.count`th, from all over the data.

    Returns:
      Arrays `[chunks]`: `url`, `size` of the file, `start` and `end` of the chunk in bytes, `first`
      record's number, `records` and `record_bytes` (0 where they differ).

    Raises:
      UserError: there are fewer images than workers.
    """
    if level.count < shard.count:
        where = level.files[0].source.location
        raise UserError(f"{where}: fewer images than workers: {level.count}")
    shard_bytes = -(-level.size // shard.count)
    chunks = min(level.count // shard.count, max(_LEAST_CHUNKS, -(-shard_bytes // _CHUNK_BYTES)))
    bounds = np.linspace(0, level.count, chunks * shard.count + 1).round().astype(np.int64)
    begins, ends = (bound[shard.index :: shard.count] for bound in (bounds[:-1], bounds[1:]))
    rows = []
    for begin, end in zip(begins, ends, strict=True):
        for file, first in zip(level.files, level.firsts, strict=True):
            begin_here, end_here = max(begin, first), min(end, first + file.count)
            if begin_here < end_here:
                rows.append(_chunk(file, int(first), int(begin_here), int(end_here)))
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _chunk(file: RecordFile, first: int, begin: int, end: int) -> dict[str, int | str]:
    """Return the chunk of the images `begin`..`end` - 1, in a file whose first image is `first`."""
    spans = file.offsets.spans(np.array([begin, end - 1]) - first)
    return {
        "url": file.source.location,
        "size": file.source.size,
        "start": int(spans[0, 0]),
        "end": int(spans[-1, 1]),
        "first": begin,
        "records": end - begin,
        "record_bytes": file.offsets.record_bytes or 0,
    }


def _read_raw(chunk: dict[str, tf.Tensor]) -> tf.data.Dataset:
    """Read a chunk of raw records, all of one size; return their numbers and bytes."""
    records = _read_fixed(chunk, chunk["record_bytes"])
    return tf.data.Dataset.zip((_numbers(chunk), records))


def _read_png(level: Level, chunk: dict[str, tf.Tensor]) -> tf.data.Dataset:
    """Read a chunk of PNG records at once, and cut it by the index; return numbers and bytes."""

    def cut(data: bytes, first: int, records: int) -> np.ndarray:
        file, number = level.locate(int(first))
        spans = file.offsets.spans(np.arange(number, number + int(records)))
        return np.array([data[start:end] for start, end in spans - spans[0, 0]], object)

    whole = _read_fixed(chunk, chunk["end"] - chunk["start"]).get_single_element()
    records = tf.numpy_function(
        cut, [whole, chunk["first"], chunk["records"]], tf.string, stateful=False
    )
    records = tf.ensure_shape(records, [None])
    return tf.data.Dataset.zip((_numbers(chunk), tf.data.Dataset.from_tensor_slices(records)))


def _read_fixed(chunk: dict[str, tf.Tensor], record_bytes: tf.Tensor) -> tf.data.Dataset:
    """Read a chunk, in pieces of `record_bytes`."""
    return tf.data.FixedLengthRecordDataset(
        chunk["url"],
        record_bytes,
        header_bytes=chunk["start"],
        footer_bytes=chunk["size"] - chunk["end"],
        buffer_size=tf.constant(_CHUNK_BYTES, tf.int64),
    )


def _numbers(chunk: dict[str, tf.Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.range(chunk["first"], chunk["first"] + chunk["records"])
