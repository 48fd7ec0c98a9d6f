"""A file of PNG images: records of many sizes, found by an index of their offsets."""

import concurrent.futures
import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource, Directory, name_of
from tfrecords_tools.format.example import ImageType, example_ends, parse_example, type_of
from tfrecords_tools.format.first_record import check_shape
from tfrecords_tools.format.level import DamagedRecordError, RecordFile
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.names import INDEX_SUFFIX, index_path
from tfrecords_tools.format.record import FRAME_BYTES, framed, unframed
from tfrecords_tools.host import core_count

# An index is an array of the records' offsets and the file's end.
INDEX_DTYPE = "<u8"
_INDEX_ENTRY_BYTES = np.dtype(INDEX_DTYPE).itemsize
# Of 0..9, the level that halves the time of Pillow's default and costs 1 % of the size.
_COMPRESS_LEVEL = 4
# Images of at least as many pixels are decoded by several threads. Smaller ones are decoded sooner
# than another thread is woken.
_THREADED_PIXELS = 128 * 128
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_MODE_OF_16_BITS = "I;16"


def open_png_file(source: ByteSource, index: ByteSource, image: ImageType) -> RecordFile:
    """Open a file of PNG images with its index, and check that they fit together.

    Args:
      source: the file.
      index: its index. A remote index is read, and checked whole, when records are first read.
      image: the type of the images.

    Raises:
      UserError: the file or its index is cut short, damaged, or anything else.
    """
    offsets = OffsetIndex(index)
    if index.size % _INDEX_ENTRY_BYTES or not index.size:
        raise UserError(
            f"{index.location}: truncated or damaged: its size must be a multiple of"
            f" {_INDEX_ENTRY_BYTES} bytes. Received: {index.size} bytes"
        )
    end = int(index.read(index.size - _INDEX_ENTRY_BYTES, index.size).view(INDEX_DTYPE)[0])
    if end != source.size:
        raise UserError(
            f"{source.location}: truncated or damaged, or its index {name_of(index)} is: its size"
            f" must be {end} bytes. Received: {source.size} bytes"
        )
    if not index.is_remote:
        offsets.load()
    if offsets.count:
        check_shape(source, (image.channels,), (image.height, image.width))
    return RecordFile(source, offsets.count, offsets, PngDecoder(image))


def open_index(directory: Directory, name: str) -> ByteSource:
    """Open the index of a file of encoded images.

    Raises:
      UserError: it is missing.
    """
    try:
        return directory.open(name + INDEX_SUFFIX)
    except FileNotFoundError as error:
        raise UserError(
            f"{directory.location}/{name}{INDEX_SUFFIX}: missing; {name} holds encoded images,"
            " which can't be found without it"
        ) from error


class OffsetIndex:
    """The positions of records of many sizes.

    Attributes:
      count: number of records.
      record_bytes: None; see `Offsets`.
    """

    record_bytes = None

    def __init__(self, index: ByteSource):
        self._index = index
        self.count = index.size // _INDEX_ENTRY_BYTES - 1

    def spans(self, indices: np.ndarray) -> np.ndarray:
        """Return where records begin and end; see `Offsets`."""
        offsets = self.load()
        return np.stack([offsets[indices], offsets[indices + 1]], axis=1)

    def load(self) -> np.ndarray:
        """Read the index once, and check it.

        Returns:
          [count + 1] int64.

        Raises:
          UserError: the index is damaged.
        """
        return self._offsets

    @functools.cached_property
    def _offsets(self) -> np.ndarray:
        # As signed numbers, so that differences can be negative.
        # A copy, since the file may become shorter while it is mapped.
        offsets = self._index.read(0, self._index.size).view("<i8").copy()
        within = offsets.min() == offsets[0] == 0 and offsets.max() == offsets[-1]
        if not within or (np.diff(offsets) < FRAME_BYTES).any():
            raise UserError(
                f"{self._index.location}: damaged: its offsets must begin with 0 and increase"
            )
        return offsets


class PartialPngFile:
    """A file of PNG images as an interrupted writer left it.

    The file may hold more, or less, than its index says.
    """

    def __init__(self, path: Path):
        self._source = MappedFile(path)
        index = MappedFile(index_path(path))
        entries = index.size // _INDEX_ENTRY_BYTES
        self._offsets = index.read(0, entries * _INDEX_ENTRY_BYTES).view("<i8")

    def holds(self, start: int, stop: int) -> bool:
        """Return True if the records `start`..`stop` - 1 are all there, with intact frames."""
        if len(self._offsets) <= stop:
            return False
        try:
            for record in range(start, stop):
                begin, end = self._offsets[record : record + 2]
                unframed(self._source.read(begin, end).tobytes())
        except ValueError:
            return False
        return True


class PngDecoder:
    """Decodes records of PNG images of one type. Threads may share it."""

    def __init__(self, image: ImageType):
        self._image = image

    def decode(
        self, data: np.ndarray, spans: np.ndarray, check: bool, out: np.ndarray | None
    ) -> np.ndarray:
        """Decode records; see `RecordDecoder`."""
        images = (
            np.empty((len(spans), *self._image.shape), self._image.dtype) if out is None else out
        )

        def decode(position: int) -> None:
            start, end = spans[position]
            try:
                images[position] = self._decode_record(data[start:end].tobytes(), check)
            except Exception as error:  # Pillow raises many kinds of errors on damaged data
                reason = str(error) or type(error).__name__
                raise DamagedRecordError(position, reason) from error

        pixels = self._image.height * self._image.width
        threaded = len(spans) > 1 and pixels >= _THREADED_PIXELS
        for _ in (_threads().map if threaded else map)(decode, range(len(spans))):
            pass
        return images

    def _decode_record(self, record: bytes, check: bool) -> np.ndarray:
        shape, png = parse_example(unframed(record, check))
        if shape != self._image.shape:
            raise ValueError(f"its shape is {list(shape)}")
        return decode_png(png, self._image)


def encode_png_records(images: np.ndarray) -> list[bytes]:
    """Encode images as records, ready to be written one after the other.

    Args:
      images: [k C H W] uint8 or uint16.
    """
    records = []
    for image in images:
        png = encode_png(image)
        before, after = example_ends(image.shape, len(png))
        records.append(framed(b"".join((before, png, after))))
    return records


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image [C H W] as a PNG file of at most `png_bound` bytes.

    Args:
      image: uint8, or uint16 of one channel.
    """
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    picture = Image.fromarray(pixels)
    for level in (_COMPRESS_LEVEL, 0):
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=level)
        if file.tell() <= png_bound(type_of(image)):
            break  # at once with every known zlib; an uncompressed file is within the bound
    return file.getvalue()


def decode_png(png: bytes, expected: ImageType) -> np.ndarray:
    """Decode a PNG file into pixels [C H W].

    Args:
      png: the file.
      expected: the type of its image.

    Raises:
      ValueError: the file holds another size or kind of image.
      Exception: Pillow's, of several kinds, for a damaged file.
    """
    mode = _MODES[expected.channels] if expected.bits == 8 else _MODE_OF_16_BITS
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        # Before it is decoded: a damaged size must not allocate a huge picture.
        if (image.width, image.height, image.mode) != (expected.width, expected.height, mode):
            raise ValueError(f"its image is {image.width}x{image.height}, mode {image.mode}")
        pixels = np.asarray(image)
    return pixels[None] if expected.channels == 1 else pixels.transpose(2, 0, 1)


def png_bound(image: ImageType) -> int:
    """Return the largest size of our PNG files in bytes, a little more than that of the pixels."""
    stream = image.height + image.nbytes  # each row begins with the number of its filter
    return stream + stream // 256 + 200


def png_record_bound(image: ImageType) -> int:
    """Return the largest size of a record in bytes, together with its entry in the index."""
    png = png_bound(image)
    before, after = example_ends(image.shape, png)
    return FRAME_BYTES + len(before) + png + len(after) + _INDEX_ENTRY_BYTES


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
    """Return the threads that decode: zlib and Pillow compute without the interpreter's lock."""
    return concurrent.futures.ThreadPoolExecutor(min(16, core_count()), thread_name_prefix="png")
