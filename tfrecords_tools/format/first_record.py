"""The first record of a level's file: its images' shape, or the reason why it has none."""

from collections.abc import Collection

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource
from tfrecords_tools.format.example import CHANNELS, ImageType, find_shape
from tfrecords_tools.format.record import FRAME_HEAD_BYTES, record_layout
from tfrecords_tools.shape import SQUARE, Base, is_base

# The shape is searched for in the first bytes, then in as many as a raw 1024x1024 record may have.
_SEARCHED_BYTES = (1 << 12, 1 << 24)
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_BITS_AT = 24


def guess_base_and_bits(source: ByteSource) -> tuple[Base, int]:
    """Return the base and bits of a pyramid without a manifest, from its lowest level.

    Returns:
      Those of squares of 8 bits where the first record says nothing else.
    """
    start = source.read(0, _SEARCHED_BYTES[0]).tobytes()
    shape = find_shape(start) or ()
    if len(shape) != 3 or not is_base(*shape[1:]):
        return SQUARE, 8
    png = start.find(_PNG_MAGIC)
    deep = png >= 0 and start[png + _PNG_BITS_AT :][:1] == b"\x10"
    if shape[0] == 1:
        head = record_layout(ImageType(*shape, 16)).head[:FRAME_HEAD_BYTES]
        deep = deep or start.startswith(head)
    return Base(*shape[1:]), 16 if deep else 8


def find_channels(source: ByteSource, size: tuple[int, int], bits: int, encoding: str) -> int:
    """Return the channels of a level's file, from its first record.

    Args:
      source: the file.
      size: the height and width that are required.
      bits: of a value.
      encoding: "raw" or "png".

    Raises:
      UserError: the file does not begin with a record of this size with 1 to 4 channels.
    """
    if encoding == "raw":
        start = source.read(0, FRAME_HEAD_BYTES).tobytes()
        for channels in CHANNELS:
            layout = record_layout(ImageType(channels, *size, bits))
            if start == layout.head[:FRAME_HEAD_BYTES]:
                return channels
    return check_shape(source, CHANNELS, size)


def check_raw_head(source: ByteSource, image: ImageType) -> None:
    """Refuse a file that doesn't begin with a raw image.

    Raises:
      UserError: the file is empty or holds anything else.
    """
    heads = tuple(record_layout(image, order).head for order in (False, True))
    if source.read(0, max(map(len, heads))).tobytes().startswith(heads):
        return
    check_shape(source, (image.channels,), (image.height, image.width))
    if image.bits != 8:
        raise UserError(
            f"{source.location}: its first record must hold {image.nbytes} bytes, an image of"
            f" {image.bits} bits a value, as the manifest says"
        )


def check_shape(source: ByteSource, channels: Collection[int], size: tuple[int, int]) -> int:
    """Return the channels of a file's first record.

    Args:
      source: the file.
      channels: the numbers that are allowed.
      size: the height and width that are required.

    Raises:
      UserError: says what is wrong with the file's beginning.
    """
    start, shape = b"", None
    for searched in _SEARCHED_BYTES:
        if shape is None:
            start = source.read(0, searched).tobytes()
            shape = find_shape(start)
    where, (height, width) = source.location, size
    if not start:
        raise UserError(f"{where}: empty; expected TFRecords of {width}x{height} images")
    if start[:2] == b"\x1f\x8b":
        raise UserError(f"{where}: compressed by gzip; expected uncompressed TFRecords")
    if shape is None:
        raise UserError(
            f"{where}: its first record has no feature 'shape'; expected TFRecords of images, as"
            " written by pgan-prepare-tfrecords or the original implementation"
        )
    if len(shape) != 3 or shape[0] not in channels or shape[1:] != size:
        *others, last = map(str, channels)
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise UserError(
            f"{where}: its images must have the shape [{wanted} {height} {width}] (C H W)."
            f" Received: [{' '.join(map(str, shape))}]"
        )
    return shape[0]
