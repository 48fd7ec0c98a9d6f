"""An image's tf.train.Example, written and read without TensorFlow.

An example holds the features `shape` (int64[3]: C, H, W) and `data` (one bytes value). The order of
a protocol buffer's map is the writer's choice: this project writes `shape` first, and reads both.
"""

import math
from typing import NamedTuple

import numpy as np

from tfrecords_tools.shape import Base

# Grayscale, grayscale with alpha, RGB, RGBA.
CHANNELS = (1, 2, 3, 4)
# Bits of a value. Images of 16 bits are grayscale.
BITS = (8, 16)
_KINDS = {1: "grayscale", 2: "grayscale with alpha", 3: "RGB", 4: "RGBA"}
Shape = tuple[int, int, int]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class ImageType(NamedTuple):
    """The shape of a level's images, and the type of their values."""

    channels: int
    height: int
    width: int
    bits: int = 8

    @property
    def shape(self) -> Shape:
        """The shape (C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def dtype(self) -> np.dtype:
        """The type of a value: uint8, or uint16 with the lower byte first."""
        return np.dtype(np.uint8 if self.bits == 8 else "<u2")

    @property
    def nbytes(self) -> int:
        """Bytes of a decoded image."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def text(self) -> str:
        """The type in words: `96x64 RGBA`, the width first."""
        bits = "" if self.bits == 8 else f" of {self.bits} bits"
        return f"{self.width}x{self.height} {_KINDS[self.channels]}{bits}"


def image_type(channels: int, base: Base, resolution: int, bits: int = 8) -> ImageType:
    """Return the type of a level's images."""
    return ImageType(channels, *base.size_at(resolution), bits)


def type_of(images: np.ndarray) -> ImageType:
    """Return the type of images [... C H W] uint8 or uint16."""
    channels, height, width = images.shape[-3:]
    return ImageType(channels, height, width, 8 * images.dtype.itemsize)


def example_ends(shape: Shape, data_bytes: int, data_first: bool = False) -> tuple[bytes, bytes]:
    """Return an example's bytes before and after the value of `data`.

    Args:
      shape: C, H, W, all at least 1.
      data_bytes: size of the value.
      data_first: put the feature `data` before `shape`.
    """
    shape_entry = _map_entry(b"shape", 0x1A, b"".join(_encode_varint(side) for side in shape))
    data_head = _map_entry_head(b"data", 0x0A, data_bytes)
    before, after = (b"", shape_entry) if data_first else (shape_entry, b"")
    features_bytes = len(shape_entry) + len(data_head) + data_bytes
    return b"\x0a" + _encode_varint(features_bytes) + before + data_head, after


def parse_example(example: bytes) -> tuple[tuple[int, ...], bytes]:
    """Read the features `shape` and `data` of an example by any writer.

    Fields of no interest are skipped.

    Returns:
      The numbers of `shape`, and the first value of `data`.

    Raises:
      ValueError: the bytes are no such example.
    """
    features: dict[bytes, bytes] = {}
    for entry in _fields(_only(example, 1), 1):
        features[_only(entry, 1)] = _only(entry, 2)
    if b"shape" not in features or b"data" not in features:
        raise ValueError("it needs the features 'shape' and 'data'")
    numbers = _decode_varints(b"".join(_fields(_only(features[b"shape"], 3), 1)))
    return numbers, _only(_only(features[b"data"], 1), 1)


def find_shape(beginning: bytes) -> tuple[int, ...] | None:
    """Find the feature `shape` in the beginning of a file, for error messages.

    Returns:
      The numbers, or None where there is no such feature.
    """
    marker = b"\x0a\x05shape\x12"
    at = beginning.find(marker)
    entry = beginning[at + len(marker) :]
    # Feature length, field 3 (int64_list), its length, field 1 (packed values), their length.
    if at < 0 or len(entry) < 5 or entry[1] != 0x1A or entry[3] != 0x0A or entry[4] > 0x7F:
        return None
    numbers = entry[5 : 5 + entry[4]]
    try:
        return _decode_varints(numbers) if len(numbers) == entry[4] else None
    except ValueError:
        return None


def _map_entry(key: bytes, kind: int, packed: bytes) -> bytes:
    return _map_entry_head(key, kind, len(packed)) + packed


def _map_entry_head(key: bytes, kind: int, value_bytes: int) -> bytes:
    """Return a map<string, Feature> entry up to its value.

    Args:
      key: the feature's name.
      kind: tag of the list in the Feature: 0x0A bytes_list, 0x1A int64_list.
      value_bytes: size of the list's only field: the bytes value, or the packed numbers.
    """
    inner = b"\x0a" + _encode_varint(value_bytes)
    feature = bytes([kind]) + _encode_varint(len(inner) + value_bytes) + inner
    entry = b"\x0a" + _encode_varint(len(key)) + key + b"\x12"
    entry += _encode_varint(len(feature) + value_bytes) + feature
    return b"\x0a" + _encode_varint(len(entry) + value_bytes) + entry


def _only(message: bytes, number: int) -> bytes:
    """Return the value of a field: the last one, as in every protocol buffer."""
    values = _fields(message, number)
    if not values:
        raise ValueError(f"field {number} is missing")
    return values[-1]


def _fields(message: bytes, number: int) -> list[bytes]:
    """Return the values of all length-delimited fields of this number."""
    values, at = [], 0
    while at < len(message):
        tag, at = _decode_varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _decode_varint(message, at)
            end = at + size
            if tag >> 3 == number:
                values.append(message[at:end])
        elif kind == _VARINT:
            _, end = _decode_varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            end = at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"a field of unknown kind {kind}")
        if end > len(message):
            raise ValueError("it is cut short")
        at = end
    return values


def _encode_varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _decode_varints(packed: bytes) -> tuple[int, ...]:
    values, at = [], 0
    while at < len(packed):
        value, at = _decode_varint(packed, at)
        values.append(value)
    return tuple(values)


def _decode_varint(message: bytes, at: int) -> tuple[int, int]:
    """Read a varint at `at`; return it and the position after it."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut short")
