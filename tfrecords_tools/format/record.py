"""The bytes of one record: a TFRecord frame around a tf.train.Example with one uint8 CHW image.

    frame     uint64 length, uint32 checksum of the length, the example, uint32 checksum of it
    example   the features `shape` (int64[3]: C, H, W) and `data` (one bytes value, uint8, CHW)

A checksum is a masked CRC-32C. Within a level only the pixels and the last checksum differ from
record to record, so a level is an array of fixed-size structures, and NumPy can read and write it
without parsing protocol buffers.
"""

import dataclasses
import functools
import math
import struct

import crc32c
import numpy as np

_MASK_DELTA = 0xA282EAD8
FRAME_HEAD_BYTES = 12
# What a frame adds to an example: its head, and the last checksum.
FRAME_BYTES = FRAME_HEAD_BYTES + 4


@dataclasses.dataclass(frozen=True)
class RecordLayout:
    """Where things are in every record of one level.

    Attributes:
      dtype: structure of a record, with the fields `head`, `pixels` uint8 [C H W], `tail`, `crc`.
      head: the constant bytes before the pixels, the frame's length and its checksum included.
      tail: the constant bytes between the pixels and the checksum; this project writes none.
      head_crc: CRC-32C of the example's part of `head`, to be extended by the pixels.
    """

    dtype: np.dtype
    head: bytes
    tail: bytes
    head_crc: int

    @property
    def record_bytes(self) -> int:
        """Size of one record on disk."""
        return self.dtype.itemsize

    def checksums(self, pixels: np.ndarray) -> np.ndarray:
        """Masked CRC-32C of the examples that hold `pixels`.

        Args:
          pixels: [k C H W] uint8, C-contiguous.

        Returns:
          [k] uint32.
        """
        return masked(self.crcs(pixels))

    def crcs(self, pixels: np.ndarray) -> np.ndarray:
        """The same, not masked."""
        rows = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
        values = [crc32c.crc32c(row.data, self.head_crc) for row in rows]
        if self.tail:
            values = [crc32c.crc32c(self.tail, value) for value in values]
        return np.array(values, np.uint32)


@functools.cache
def record_layout(channels: int, resolution: int, data_first: bool = False) -> RecordLayout:
    """The layout of a level's records.

    Args:
      channels: C, at least 1.
      resolution: H and W in pixels.
      data_first: whether the feature `data` comes before `shape`. The order within a protocol
        buffer's map is the writer's choice. This project writes `shape` first, and reads both.
    """
    pixel_bytes = channels * resolution * resolution
    example_head, after = example_ends(channels, resolution, pixel_bytes, data_first)
    length = struct.pack("<Q", len(example_head) + pixel_bytes + len(after))
    length_crc = masked(np.array([crc32c.crc32c(length)], np.uint32))
    head = length + length_crc.astype("<u4").tobytes() + example_head
    fields = [
        ("head", np.uint8, (len(head),)),
        ("pixels", np.uint8, (channels, resolution, resolution)),
        ("tail", np.uint8, (len(after),)),
        ("crc", "<u4"),
    ]
    return RecordLayout(
        dtype=np.dtype(fields),
        head=head,
        tail=after,
        head_crc=crc32c.crc32c(example_head),
    )


def example_ends(
    channels: int, resolution: int, data_bytes: int, data_first: bool = False
) -> tuple[bytes, bytes]:
    """What stands in an example before and after the value of `data`.

    Args:
      channels: C, at least 1.
      resolution: H and W in pixels.
      data_bytes: size of the value.
      data_first: as in `record_layout`.
    """
    shape_entry = _map_entry(b"shape", 0x1A, _varints((channels, resolution, resolution)))
    data_head = _map_entry_head(b"data", 0x0A, data_bytes)
    before, after = (b"", shape_entry) if data_first else (shape_entry, b"")
    features_bytes = len(shape_entry) + len(data_head) + data_bytes
    return b"\x0a" + _varint(features_bytes) + before + data_head, after


def encode_records(images: np.ndarray) -> np.ndarray:
    """Whole records, ready to be written one after the other.

    Args:
      images: [k C H W] uint8 with H = W.

    Returns:
      [k record_bytes] uint8.
    """
    count, channels, resolution, _ = images.shape
    layout = record_layout(channels, resolution)
    records = np.empty(count, layout.dtype)
    records["head"] = np.frombuffer(layout.head, np.uint8)
    records["pixels"] = images
    records["crc"] = layout.checksums(np.ascontiguousarray(images))
    return records.view(np.uint8).reshape(count, layout.record_bytes)


def masked(crc: np.ndarray) -> np.ndarray:
    """TFRecord's masking of CRC-32C: rotated right by 15 bits, plus a constant, modulo 2^32.

    Args:
      crc: uint32 array of at least one dimension, so that it wraps around silently.
    """
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)


def stored_shape(record: bytes) -> tuple[int, ...] | None:
    """The feature `shape` of a record whose layout is not known, for error messages.

    Returns:
      The numbers, or None where there is no such feature.
    """
    marker = b"\x0a\x05shape\x12"
    at = record.find(marker)
    entry = record[at + len(marker) :]
    # Feature length, field 3 (int64_list), its length, field 1 (packed values), their length.
    if at < 0 or len(entry) < 5 or entry[1] != 0x1A or entry[3] != 0x0A or entry[4] > 0x7F:
        return None
    values, value, shift = [], 0, 0
    for byte in entry[5 : 5 + entry[4]]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value, shift = 0, 0
    return tuple(values)


def _map_entry(key: bytes, kind: int, packed: bytes) -> bytes:
    return _map_entry_head(key, kind, len(packed)) + packed


def _map_entry_head(key: bytes, kind: int, value_bytes: int) -> bytes:
    """A map<string, Feature> entry up to its value.

    Args:
      key: the feature's name.
      kind: tag of the list in the Feature: 0x0A bytes_list, 0x1A int64_list.
      value_bytes: size of the list's only field: the bytes value, or the packed numbers.
    """
    inner = b"\x0a" + _varint(value_bytes)
    feature = bytes([kind]) + _varint(len(inner) + value_bytes) + inner
    entry = b"\x0a" + _varint(len(key)) + key + b"\x12"
    entry += _varint(len(feature) + value_bytes) + feature
    return b"\x0a" + _varint(len(entry) + value_bytes) + entry


def _varints(values: tuple[int, ...]) -> bytes:
    return b"".join(_varint(value) for value in values)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
