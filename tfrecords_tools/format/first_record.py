"""The first record of a level's file: its images' shape, or the reason why it has none."""

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource
from tfrecords_tools.format.example import CHANNELS, find_shape, image_shape
from tfrecords_tools.format.record import FRAME_HEAD_BYTES, record_layout

# The shape is searched for in the first bytes, then in as many as a raw 1024x1024 record may have.
_SEARCHED_BYTES = (1 << 12, 1 << 24)


def find_channels(source: ByteSource, resolution: int, encoding: str) -> int:
    """Return the channels of a level's file, from its first record.

    Raises:
      UserError: the file does not begin with a record of this resolution with 1 or 3 channels.
    """
    if encoding == "raw":
        start = source.read(0, FRAME_HEAD_BYTES).tobytes()
        for channels in CHANNELS:
            if start == record_layout(channels, resolution).head[:FRAME_HEAD_BYTES]:
                return channels
    return check_shape(source, None, resolution)


def check_raw_head(source: ByteSource, channels: int, resolution: int) -> None:
    """Refuse a file that doesn't begin with a raw image.

    Raises:
      UserError: the file is empty or holds anything else.
    """
    heads = tuple(record_layout(channels, resolution, order).head for order in (False, True))
    if not source.read(0, max(map(len, heads))).tobytes().startswith(heads):
        check_shape(source, channels, resolution)


def check_shape(source: ByteSource, channels: int | None, resolution: int) -> int:
    """Return the channels of a file's first record.

    Args:
      source: the file.
      channels: the number that is required, or None for 1 or 3.
      resolution: the height and width that are required.

    Raises:
      UserError: says what is wrong with the file's beginning.
    """
    start, shape = b"", None
    for size in _SEARCHED_BYTES:
        if shape is None:
            start = source.read(0, size).tobytes()
            shape = find_shape(start)
    where = source.location
    if not start:
        raise UserError(f"{where}: empty; expected TFRecords of {resolution}x{resolution} images")
    if start[:2] == b"\x1f\x8b":
        raise UserError(f"{where}: compressed by gzip; expected uncompressed TFRecords")
    if shape is None:
        raise UserError(
            f"{where}: its first record has no feature 'shape'; expected TFRecords of images, as"
            " written by pgan-prepare-tfrecords or the original implementation"
        )
    allowed = CHANNELS if channels is None else (channels,)
    if shape not in [image_shape(c, resolution) for c in allowed]:
        height, width = image_shape(allowed[0], resolution)[1:]
        wanted = f"{' or '.join(map(str, allowed))} {height} {width}"
        raise UserError(
            f"{where}: its images must have the shape [{wanted}] (C H W)."
            f" Received: [{' '.join(map(str, shape))}]"
        )
    return shape[0]
