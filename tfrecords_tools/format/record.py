"""The bytes of one record: a TFRecord frame around an image's tf.train.Example.

    frame     uint64 length, uint32 checksum of the length, the example, uint32 checksum of it
    example   see `example.py`

A checksum is a masked CRC-32C. Within a level of raw images only the pixels and the last checksum
differ from record to record. So the level is an array of structures of one size, which NumPy reads
and writes without parsing protocol buffers.
"""

import dataclasses
import functools
import math
import struct

import crc32c
import numpy as np

from tfrecords_tools.format.example import ImageType, example_ends, type_of

FRAME_HEAD_BYTES = 12
FRAME_TAIL_BYTES = 4
# A frame adds these to an example: its head, and the last checksum.
FRAME_BYTES = FRAME_HEAD_BYTES + FRAME_TAIL_BYTES
_MASK_DELTA = 0xA282EAD8


@dataclasses.dataclass(frozen=True)
class RecordLayout:
    """The positions of a raw record's fields, the same for every record of one level.

    Attributes:
      dtype: structure of a record, with the fields `head`, `pixels` [C H W], `tail`, `crc`.
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
        """Compute the masked CRC-32C of the examples that hold `pixels`.

        Args:
          pixels: [k C H W] uint8 or uint16, C-contiguous.

        Returns:
          [k] uint32.
        """
        return masked(self.crcs(pixels))

    def crcs(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the same checksums before masking."""
        rows = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
        values = [crc32c.crc32c(row.data, self.head_crc) for row in rows]
        if self.tail:
            values = [crc32c.crc32c(self.tail, value) for value in values]
        return np.array(values, np.uint32)


@functools.cache
def record_layout(image: ImageType, data_first: bool = False) -> RecordLayout:
    """Return the layout of a level's raw records.

    Args:
      image: the type of the images.
      data_first: the feature `data` comes before `shape`.
    """
    example_head, tail = example_ends(image.shape, image.nbytes, data_first)
    head = frame_head(len(example_head) + image.nbytes + len(tail)) + example_head
    fields = [
        ("head", np.uint8, (len(head),)),
        ("pixels", image.dtype, image.shape),
        ("tail", np.uint8, (len(tail),)),
        ("crc", "<u4"),
    ]
    return RecordLayout(
        dtype=np.dtype(fields),
        head=head,
        tail=tail,
        head_crc=crc32c.crc32c(example_head),
    )


def encode_records(images: np.ndarray) -> np.ndarray:
    """Encode images as raw records, ready to be written one after the other.

    Args:
      images: [k C H W] uint8 or uint16.

    Returns:
      [k record_bytes] uint8.
    """
    count = len(images)
    layout = record_layout(type_of(images))
    records = np.empty(count, layout.dtype)
    records["head"] = np.frombuffer(layout.head, np.uint8)
    records["pixels"] = images
    records["crc"] = layout.checksums(np.ascontiguousarray(images))
    return records.view(np.uint8).reshape(count, layout.record_bytes)


def framed(example: bytes) -> bytes:
    """Return an example as a record."""
    return frame_head(len(example)) + example + _checksum(example)


def unframed(record: bytes, check: bool = True) -> bytes:
    """Return a record's example.

    Args:
      record: a whole record.
      check: compare the checksums too.

    Raises:
      ValueError: the record's length or a checksum is wrong.
    """
    example = record[FRAME_HEAD_BYTES:-FRAME_TAIL_BYTES]
    length = int.from_bytes(record[:8], "little")
    if len(record) < FRAME_BYTES or length != len(example):
        raise ValueError("its length is wrong")
    # Joining head and tail in place of the whole record saves a copy of the example.
    ends = record[:FRAME_HEAD_BYTES] + record[-FRAME_TAIL_BYTES:]
    if check and ends != frame_head(length) + _checksum(example):
        raise ValueError("its checksum (CRC-32C) is wrong")
    return example


def frame_head(length: int) -> bytes:
    """Return the beginning of the frame around an example of `length` bytes."""
    packed = struct.pack("<Q", length)
    return packed + _checksum(packed)


def masked(crc: np.ndarray) -> np.ndarray:
    """Mask CRC-32Cs as TFRecords do: rotate right by 15 bits and add a constant, modulo 2^32.

    Args:
      crc: uint32 array of at least one dimension, so that it wraps around silently.
    """
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)


def _checksum(data: bytes) -> bytes:
    return masked(np.array([crc32c.crc32c(data)], np.uint32)).astype("<u4").tobytes()
