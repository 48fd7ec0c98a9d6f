"""A file of PNG images: records of many lengths, found by an index of their offsets."""

import concurrent.futures
import functools
import io
import struct
from pathlib import Path

import crc32c
import numpy as np
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.example import parse_example
from tfrecords_tools.format.first_record import check_shape
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.names import index_path
from tfrecords_tools.format.record import FRAME_BYTES, FRAME_HEAD_BYTES, example_ends, masked
from tfrecords_tools.host import core_count

INDEX_DTYPE = "<u8"
# Of 0..9, what halves the time that Pillow's default takes and costs 1 % of the size.
_COMPRESS_LEVEL = 4
# Images of at least as many pixels are decoded by several threads. Smaller ones are decoded sooner
# than another thread is woken.
_THREADED_PIXELS = 128 * 128
_MODES = {1: "L", 3: "RGB"}


class PngFile:
    """A level's file of PNG images with its index, or a part of it. Threads may share it."""

    def __init__(self, path: Path, channels: int, resolution: int, unfinished: bool = False):
        """Maps the file and its index, and checks that they fit together.

        Args:
          path: the file.
          channels: C of its images.
          resolution: H and W of its images.
          unfinished: whether the file may hold more, or less, than its index says.

        Raises:
          UserError: the file or its index is missing, cut short, or something else.
        """
        self.path = path
        self._shape = (channels, resolution, resolution)
        self._offsets = _open_index(path, unfinished)
        self.count = len(self._offsets) - 1
        if self.count and not unfinished:
            check_shape(path, channels, resolution)
        self._file = MappedFile(path)

    def read(self, indices: np.ndarray, check: bool, out: np.ndarray | None = None) -> np.ndarray:
        """Images [k C H W] uint8 of the records `indices` [k] int64; see `RecordFile`."""
        images = np.empty((len(indices), *self._shape), np.uint8) if out is None else out
        spans = np.stack([self._offsets[indices], self._offsets[indices + 1]], axis=1)
        self._file.will_read(spans)

        def decode(position: int) -> None:
            images[position] = self._decode(int(indices[position]), check)

        threaded = len(indices) > 1 and self._shape[1] * self._shape[2] >= _THREADED_PIXELS
        positions = range(len(indices))
        for _ in (_decoders().map if threaded else map)(decode, positions):
            pass
        return images

    def example(self, index: int, check: bool = True) -> bytes:
        """The serialised example of a record.

        Raises:
          UserError: the record's frame is damaged.
        """
        start, end = (int(offset) for offset in self._offsets[index : index + 2])
        record = self._file.data[start:end].tobytes()
        length = int.from_bytes(record[:8], "little")
        if len(record) < FRAME_BYTES or length != len(record) - FRAME_BYTES:
            self._refuse(index, f"its length is wrong, or {index_path(self.path).name} is")
        example = record[FRAME_HEAD_BYTES:-4]
        if check and frame(example) != (record[:FRAME_HEAD_BYTES], record[-4:]):
            self._refuse(index, "its checksum (CRC-32C) is wrong")
        return example

    def _decode(self, index: int, check: bool) -> np.ndarray:
        example = self.example(index, check)
        try:
            shape, png = parse_example(example)
            if shape != self._shape:
                raise ValueError(f"its shape is {list(shape)}")
            return decode_png(png, self._shape)
        except Exception as error:  # whatever the decoder says about damaged data
            self._refuse(index, str(error) or type(error).__name__)
            raise

    def _refuse(self, index: int, why: str) -> None:
        raise UserError(f"{self.path}: record {index} (of 0..{self.count - 1}) is damaged: {why}")


def encode_png_records(images: np.ndarray) -> list[bytes]:
    """Whole records, ready to be written one after the other.

    Args:
      images: [k C H W] uint8 with H = W.
    """
    _, channels, resolution, _ = images.shape
    records = []
    for image in images:
        png = encode_png(image)
        before, after = example_ends(channels, resolution, len(png))
        example = b"".join((before, png, after))
        head, tail = frame(example)
        records.append(b"".join((head, example, tail)))
    return records


def frame(example: bytes) -> tuple[bytes, bytes]:
    """What stands before and after an example in a TFRecord file."""
    length = struct.pack("<Q", len(example))
    sums = [crc32c.crc32c(length), crc32c.crc32c(example)]
    before, after = masked(np.array(sums, np.uint32)).astype("<u4")
    return length + before.tobytes(), after.tobytes()


def encode_png(image: np.ndarray) -> bytes:
    """An image [C H W] uint8 as a PNG file of at most `png_bound` bytes."""
    channels, resolution, _ = image.shape
    pixels = image[0] if channels == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    picture = Image.fromarray(pixels)
    for level in (_COMPRESS_LEVEL, 0):
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=level)
        if file.tell() <= png_bound(channels, resolution):
            break  # true at once for every zlib known; stored uncompressed it holds for all
    return file.getvalue()


def decode_png(png: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The pixels of a PNG file, [C H W] uint8.

    Raises:
      ValueError: it holds another size or kind of image.
      Exception: whatever Pillow says about a damaged file.
    """
    channels, height, width = shape
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        # Before it is decoded: a damaged size must not ask for a huge picture.
        if (image.width, image.height, image.mode) != (width, height, _MODES[channels]):
            raise ValueError(f"its image is {image.width}x{image.height}, mode {image.mode}")
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def png_bound(channels: int, resolution: int) -> int:
    """The most bytes that a PNG file of ours takes: a little more than its pixels."""
    stream = resolution * (1 + resolution * channels)
    return stream + stream // 256 + 200


def png_record_bound(channels: int, resolution: int) -> int:
    """The most bytes that a record takes, with its entry in the index."""
    png = png_bound(channels, resolution)
    before, after = example_ends(channels, resolution, png)
    return FRAME_BYTES + len(before) + png + len(after) + np.dtype(INDEX_DTYPE).itemsize


def _open_index(path: Path, unfinished: bool) -> np.ndarray:
    """The offsets [n + 1] of a file's records and of its end."""
    where = index_path(path)
    if not where.exists():
        raise UserError(f"{where}: missing; {path.name} holds encoded images and cannot do without")
    size = where.stat().st_size
    offsets = MappedFile(where).data
    if unfinished:
        offsets = offsets[: size // 8 * 8]
    elif size % 8 or not size:
        raise UserError(
            f"{where}: truncated or damaged: its size must be a multiple of 8 bytes."
            f" Received: {size} bytes"
        )
    offsets = offsets.view(INDEX_DTYPE)
    end = path.stat().st_size
    if unfinished:
        return offsets
    if offsets[-1] != end:
        raise UserError(
            f"{path}: truncated or damaged, or its index {where.name} is: its size must be"
            f" {offsets[-1]} bytes. Received: {end} bytes"
        )
    if offsets[0] != 0 or (offsets[1:] < offsets[:-1] + np.uint64(FRAME_BYTES)).any():
        raise UserError(f"{where}: damaged: its offsets must begin with 0 and increase")
    return offsets


@functools.cache
def _decoders() -> concurrent.futures.ThreadPoolExecutor:
    """Threads that decode: zlib and Pillow compute without holding the interpreter."""
    return concurrent.futures.ThreadPoolExecutor(min(16, core_count()), thread_name_prefix="png")
