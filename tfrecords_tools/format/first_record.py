"""The first record of a level's file: its images' shape, or the reason why it has none."""

from collections.abc import Collection

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource
from tfrecords_tools.format.example import CHANNELS, ImageType, find_shape
from tfrecords_tools.format.record import FRAME_HEAD_BYTES, record_layout
from tfrecords_tools.shape import SQUARE, Base, is_base

# The shape is searched for in the first bytes, then in as many as a raw 1024x1024 record may have.
_SEARCHED_BYTES = (1 << 12, 1 << 24)


def find_base(source: ByteSource) -> Base:
    """Return the base of a pyramid without a manifest, from the first record of its lowest level.

    Returns:
      The base of squares where that record says nothing else.
    """
    shape = find_shape(source.read(0, _SEARCHED_BYTES[0]).tobytes()) or ()
    return Base(*shape[1:]) if len(shape) == 3 and is_base(*shape[1:]) else SQUARE


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
