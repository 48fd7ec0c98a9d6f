"""Reader of the files that tensorflow-datasets prepares, without TensorFlow.

They are TFRecords (docs/reference/pyramid-format.md describes their frame) of tf.train.Examples,
each with an encoded image and, where there are classes, an integer.
"""

import dataclasses
import functools
import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import crc32c
import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.record import FRAME_HEAD_BYTES, masked
from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.image_files.files import HEAD_BYTES
from tfrecords_tools.progress import Progress
from tfrecords_tools.untrusted.regular_file import open_regular

_FOOT_BYTES = 4
# Tags of protocol buffers: the field's number times 8, plus 2 for a field with a length.
_FIELD_1, _FIELD_2, _FIELD_3 = 0x0A, 0x12, 0x1A


@dataclasses.dataclass(frozen=True)
class RecordRange:
    """Records `skip`..`skip + take - 1` of one file."""

    path: Path
    skip: int
    take: int


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """The images of a prepared data set, one in each record, as `ImageFiles`.

    Attributes:
      root: the data set's folder.
      paths: the files.
      places: [n 5] int64, a row for each image: number of the file; offset and size of the example;
        offset in the example and size of the encoded image.
    """

    root: Path
    paths: tuple[Path, ...]
    places: np.ndarray

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.places)

    def display_name(self, index: int) -> str:
        """The file's path and the record's offset in it."""
        file, offset = self.places[index, :2]
        return f"{self.paths[file]}: record at byte {offset - FRAME_HEAD_BYTES}"

    def open(self, index: int, max_bytes: int) -> BinaryIO:
        """Return the encoded image in memory after verifying its record's checksum."""
        file, offset, size, image_offset, image_bytes = map(int, self.places[index])
        if image_bytes > max_bytes:
            raise BadImageError(
                self.display_name(index),
                f"has {image_bytes} bytes, more than an image within --max_pixels takes",
            )
        stream = self._streams[file]
        stream.seek(offset)
        example, foot = stream.read(size), stream.read(_FOOT_BYTES)
        checksum = masked(np.array([crc32c.crc32c(example)], np.uint32))[0]
        if foot != struct.pack("<I", checksum):
            raise BadImageError(self.display_name(index), "is damaged: its checksum differs")
        return io.BytesIO(example[image_offset : image_offset + image_bytes])

    def head(self, index: int, max_bytes: int) -> BinaryIO:
        """Return the encoded image's first bytes in memory."""
        file, offset, _, image_offset, image_bytes = map(int, self.places[index])
        self._streams[file].seek(offset + image_offset)
        return io.BytesIO(self._streams[file].read(min(HEAD_BYTES, image_bytes)))

    def reading_order(self) -> np.ndarray:
        """All numbers in turn, the order of the records."""
        return np.arange(self.count)

    @functools.cached_property
    def _streams(self) -> "_Streams":
        return _Streams(self.paths)

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files out: each worker opens them for itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_streams"}


def index_records(
    root: Path, ranges: Sequence[RecordRange], image: str, label: str | None
) -> tuple[RecordFiles, np.ndarray | None]:
    """Find each image's place in the files, and its class; the images themselves are not read.

    Args:
      root: the data set's folder.
      ranges: the records that make the split, in order.
      image: the feature that holds the encoded image.
      label: the feature that holds the class, or None.

    Returns:
      The files, and the classes [n] int64; None without `label`.

    Raises:
      UserError: a file is missing, damaged, or without these features.
    """
    wanted = [image] if label is None else [image, label]
    places, classes = [], []
    total = sum(records.take for records in ranges)
    with Progress(total, "records") as progress:
        for number, records in enumerate(ranges):
            for example, offset in _examples(records):
                try:
                    found = find_features(example, wanted)
                    if label is not None:
                        classes.append(_integer(example, *found[label]))
                except (IndexError, ValueError) as error:
                    raise UserError(
                        f"{records.path}: record at byte {offset - FRAME_HEAD_BYTES}: damaged, or"
                        f" without {' and '.join(wanted)}: {error}"
                    ) from error
                start, stop = found[image]
                places.append((number, offset, len(example), start, stop - start))
                progress.update(1)
    if not places:
        raise UserError(f"{root}: no images in the split")
    paths = tuple(records.path for records in ranges)
    files = RecordFiles(root, paths, np.array(places, np.int64))
    return files, None if label is None else np.array(classes, np.int64)


def find_features(example: memoryview, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Find features of an example that have one value.

    Args:
      example: a serialized tf.train.Example.
      names: the features wanted.

    Returns:
      For each feature, start and stop of its first value's bytes; for an integer, of its varint.

    Raises:
      ValueError: a feature is missing, or the example is damaged.
      IndexError: the example is damaged.
    """
    found: dict[str, tuple[int, int]] = {}
    start, stop = _field(example, 0, _FIELD_1)
    while start < stop:
        entry, start = _field(example, start, _FIELD_1)
        key, after_key = _field(example, entry, _FIELD_1)
        name = bytes(example[key:after_key]).decode()
        if name in names:
            feature, _ = _field(example, after_key, _FIELD_2)
            # A bytes_list or an int64_list, either of which has its values in field 1.
            values, end = _field(example, feature, example[feature])
            if example[feature] not in (_FIELD_1, _FIELD_3) or values == end:
                raise ValueError(f"{name} has no value")
            if example[values] == _FIELD_1:
                found[name] = _field(example, values, _FIELD_1)
            else:
                found[name] = values + 1, end  # an integer that is not packed
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"no {missing[0]}")
    return found


def _examples(records: RecordRange) -> Iterator[tuple[memoryview, int]]:
    """Yield the wanted examples of a file and their offsets in it."""
    try:
        file = MappedFile(records.path)
    except FileNotFoundError as error:
        raise UserError(f"{records.path}: no such file; the data set is incomplete") from error
    data = file.data.data
    offset = 0
    stop = records.skip + records.take
    for number in range(stop):
        head = bytes(data[offset : offset + FRAME_HEAD_BYTES])
        size = struct.unpack("<Q", head[:8])[0] if len(head) == FRAME_HEAD_BYTES else 0
        checksum = masked(np.array([crc32c.crc32c(head[:8])], np.uint32))[0]
        start = offset + FRAME_HEAD_BYTES
        if head[8:] != struct.pack("<I", checksum) or start + size + _FOOT_BYTES > len(data):
            raise UserError(
                f"{records.path}: damaged or truncated at byte {offset};"
                f" {stop} records expected. Received: {number}"
            )
        if number >= records.skip:
            yield data[start : start + size], start
        offset = start + size + _FOOT_BYTES
    file.require_whole()


def _field(data: memoryview, at: int, tag: int) -> tuple[int, int]:
    """Return start and stop of the contents of the field at `at`, which must have this tag."""
    if data[at] != tag:
        raise ValueError(f"field {data[at]:#x} where {tag:#x} was expected")
    size, start = _varint(data, at + 1)
    if start + size > len(data):
        raise ValueError("a field goes beyond the end")
    return start, start + size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        if shift > 63:
            raise ValueError("a number is too long")


def _integer(data: memoryview, start: int, stop: int) -> int:
    value, _ = _varint(data[:stop], start)
    return value - (1 << 64) if value >> 63 else value


class _Streams:
    """The files, of which one at a time is open: a process may not open so many."""

    def __init__(self, paths: Sequence[Path]):
        self._paths = paths
        self._number = -1
        self._stream: BinaryIO | None = None

    def __getitem__(self, number: int) -> BinaryIO:
        if self._stream is None or number != self._number:
            if self._stream is not None:
                self._stream.close()
            self._stream = open_regular(self._paths[number])
            self._number = number
        return self._stream
