"""From a remote pyramid to batches: a stream of large reads, shuffled in a buffer.

Each worker streams its own part of a level: reads of some megabytes, in another order in every
pass, and the records in them mixed in a buffer of bounded memory. Within a pass each image of the
part comes once. A pass begins anew with the process and with each level.
"""

import collections
import concurrent.futures
import functools
import itertools
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from pgan_tf.config.phases import Step
from pgan_tf.data.batches import WHOLE, Batch, Part, read_ahead, with_labels
from pgan_tf.data.remote_pyramid import RemoteFile, RemoteLevel, RemotePyramid, explained
from tfrecords_tools.errors import UserError

SHUFFLE_BYTES = 256 << 20
# What is read in one piece: far more than what arrives while a request is on its way.
_CHUNK_BYTES = 4 << 20
# So that small levels, too, come in another order every time.
_LEAST_CHUNKS = 16
_CHUNKS_AT_ONCE = 8
# A level's stream begins so many steps before its first: time to fill the buffer.
OPEN_AHEAD_STEPS = 4096
# What TensorFlow keeps beside a record's bytes, about.
_RECORD_OVERHEAD = 128


def stream_batches(
    pyramid: RemotePyramid, steps: Iterable[Step], *, seed: int, label_size: int, part: Part = WHOLE
) -> Iterator[tuple[Step, Batch]]:
    """Streams the batch of every step, some steps ahead of where it is asked for.

    Args:
      pyramid: where to read.
      steps: the iterations to come, in order (`Schedule.steps`).
      seed: of the order of images, together with images_seen where a stream begins.
      label_size: 0 leaves labels out.
      part: what of each batch to read, which is also the part of the data.

    Raises:
      UserError: a record is damaged, or can't be read.
    """
    streams = _Streams(pyramid, seed, part)

    def read(step: Step) -> Batch:
        records, images = streams.read(step)
        return with_labels(
            pyramid, step, images, records, seed=seed, label_size=label_size, part=part
        )

    try:
        yield from read_ahead(
            streams.opened_ahead(steps), read, channels=pyramid.channels, part=part
        )
    finally:
        streams.close()


def shuffle_size(level: RemoteLevel, part: Part = WHOLE) -> int:
    """How many images of a level the shuffle buffer holds."""
    share = -(-level.count // part.count)
    return max(1, min(share, SHUFFLE_BYTES // (level.size // level.count + _RECORD_OVERHEAD)))


class _Streams:
    """The streams of the level that is trained, and of the next. Two threads use it."""

    def __init__(self, pyramid: RemotePyramid, seed: int, part: Part):
        self._pyramid = pyramid
        self._seed = seed
        self._part = part
        self._lock = threading.Lock()
        self._streams: dict[int, _LevelStream] = {}
        self._waiting: collections.deque[Step] = collections.deque()

    def opened_ahead(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The same steps, looked at some time before they are passed on."""
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
        """Record numbers and images of the part of a step's batch."""
        resolution = step.phase.resolution
        with self._lock:
            for passed in [r for r in self._streams if r < resolution]:
                self._streams.pop(passed).close()
            self._open()
            stream = self._streams[resolution]
        return stream.read()

    def close(self) -> None:
        """Ends all streams."""
        with self._lock:
            self._waiting.clear()
            while self._streams:
                self._streams.popitem()[1].close()

    def _open(self) -> None:
        """Opens what is waiting, but never more than one level ahead: buffers take memory."""
        while self._waiting and len(self._streams) < 2:
            step = self._waiting.popleft()
            resolution = step.phase.resolution
            level = self._pyramid.level(resolution)
            size = step.phase.batch_size // self._part.count
            seeds = np.random.SeedSequence([self._seed, step.images_seen, self._part.index])
            seed = int(seeds.generate_state(1)[0])
            self._streams[resolution] = _LevelStream(level, size, seed, self._part)


class _LevelStream:
    """Batches of one level's records without end. Its first is asked for at once."""

    def __init__(self, level: RemoteLevel, batch_size: int, seed: int, part: Part):
        self._level = level
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="stream")
        self._make = functools.partial(_dataset, level, batch_size, seed, part)
        self._first: concurrent.futures.Future | None = self._pool.submit(self._begin)

    def _begin(self) -> tuple[tf.Tensor, tf.Tensor]:
        # On the CPU: no GPU has anything to do with strings.
        with tf.device("/CPU:0"):
            self._iterator = iter(self._make())
            return next(self._iterator)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Record numbers `[k]` and images `[k c h w]` uint8."""
        files = self._level.files
        where = files[0].url if len(files) == 1 else f"{files[0].url} to {files[-1].url}"
        with explained(where):
            if self._first is not None:
                numbers, records = self._first.result()
                self._first = None
            else:
                with tf.device("/CPU:0"):
                    numbers, records = next(self._iterator)
        numbers = numbers.numpy()
        return numbers, self._level.decode(numbers, records.numpy())

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _dataset(level: RemoteLevel, batch_size: int, seed: int, part: Part) -> tf.data.Dataset:
    """Batches of record numbers and records, without end."""
    chunks = _chunks(level, part)
    read = _read_raw if level.encoding == "raw" else functools.partial(_read_png, level)
    return (
        tf.data.Dataset.from_tensor_slices(chunks)
        .shuffle(len(chunks["url"]), seed=seed)
        .interleave(
            read,
            cycle_length=_CHUNKS_AT_ONCE,
            num_parallel_calls=_CHUNKS_AT_ONCE,
            deterministic=True,
        )
        .shuffle(shuffle_size(level, part), seed=seed)
        .repeat()
        .batch(batch_size)
        .prefetch(2)
    )


def _chunks(level: RemoteLevel, part: Part) -> dict[str, np.ndarray]:
    """A part's chunks of a level: every `part.count`th, so that all parts see all of the data.

    Returns:
      Arrays `[chunks]`: `url`, `size` of the file, `start` and `end` of the chunk in bytes, `first`
      record's number, `records` and `record_bytes` (0 where they differ).

    Raises:
      UserError: there are fewer images than parts.
    """
    if level.count < part.count:
        raise UserError(f"{level.files[0].url}: fewer images than workers: {level.count}")
    share = -(-level.size // part.count)
    chunks = min(level.count // part.count, max(_LEAST_CHUNKS, -(-share // _CHUNK_BYTES)))
    bounds = np.linspace(0, level.count, chunks * part.count + 1).round().astype(np.int64)
    firsts, lasts = (ends[part.index :: part.count] for ends in (bounds[:-1], bounds[1:]))
    rows = []
    for first, last in zip(firsts, lasts, strict=True):
        for file in level.files:
            begin, end = max(first, file.first), min(last, file.first + file.count)
            if begin < end:
                rows.append(_chunk(file, int(begin), int(end)))
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _chunk(file: RemoteFile, begin: int, end: int) -> dict[str, int | str]:
    start, stop = (
        int(file.offsets(number - file.first, number - file.first)[0]) for number in (begin, end)
    )
    return {
        "url": file.url,
        "size": file.size,
        "start": start,
        "end": stop,
        "first": begin,
        "records": end - begin,
        "record_bytes": file.record_bytes or 0,
    }


def _read_raw(chunk: dict[str, tf.Tensor]) -> tf.data.Dataset:
    """Numbers and records of a chunk of raw images: all of one length."""
    records = _read_fixed(chunk, chunk["record_bytes"])
    return tf.data.Dataset.zip((_numbers(chunk), records))


def _read_png(level: RemoteLevel, chunk: dict[str, tf.Tensor]) -> tf.data.Dataset:
    """Numbers and records of a chunk of PNG images, read in one piece and cut by the index."""

    def cut(data: bytes, first: int, records: int) -> np.ndarray:
        file = level.locate(int(first))
        offsets = file.offsets(int(first) - file.first, int(first + records) - file.first)
        offsets -= offsets[0]
        return np.array([data[a:b] for a, b in itertools.pairwise(offsets)], object)

    whole = _read_fixed(chunk, chunk["end"] - chunk["start"]).get_single_element()
    records = tf.numpy_function(
        cut, [whole, chunk["first"], chunk["records"]], tf.string, stateful=False
    )
    records = tf.ensure_shape(records, [None])
    return tf.data.Dataset.zip((_numbers(chunk), tf.data.Dataset.from_tensor_slices(records)))


def _read_fixed(chunk: dict[str, tf.Tensor], record_bytes: tf.Tensor) -> tf.data.Dataset:
    """A chunk's bytes, cut into pieces of `record_bytes`."""
    return tf.data.FixedLengthRecordDataset(
        chunk["url"],
        record_bytes,
        header_bytes=chunk["start"],
        footer_bytes=chunk["size"] - chunk["end"],
        buffer_size=tf.constant(_CHUNK_BYTES, tf.int64),
    )


def _numbers(chunk: dict[str, tf.Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.range(chunk["first"], chunk["first"] + chunk["records"])
