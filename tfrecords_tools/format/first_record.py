"""What a level's file holds, from its first record; and if it is something else, what."""

from pathlib import Path

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.record import FRAME_HEAD_BYTES, record_layout, stored_shape

# Where a record's shape is looked for: at its beginning first, then in all of a raw 1024x1024 one.
_SEARCHED_BYTES = (1 << 12, 1 << 24)


def find_channels(path: Path, resolution: int) -> int:
    """The channels of a level's file, from its first record.

    Raises:
      UserError: the file does not begin with a record of this resolution with 1 or 3 channels.
    """
    start = _beginning(path, FRAME_HEAD_BYTES)
    for channels in (1, 3):
        if start == record_layout(channels, resolution).head[:FRAME_HEAD_BYTES]:
            return channels
    return check_shape(path, None, resolution)


def check_first_record(
    path: Path, channels: int, resolution: int, heads: tuple[bytes, ...]
) -> None:
    """Refuses a file of raw images that begins with none of `heads`, and says why.

    Raises:
      UserError: the file is empty or holds something else than such images.
    """
    if not _beginning(path, max(map(len, heads))).startswith(heads):
        check_shape(path, channels, resolution)


def check_shape(path: Path, channels: int | None, resolution: int) -> int:
    """The channels of a file's first record.

    Args:
      path: the file.
      channels: what they must be, or None for 1 or 3.
      resolution: what height and width must be.

    Raises:
      UserError: says what is wrong with the file's beginning.
    """
    start, shape = b"", None
    for size in _SEARCHED_BYTES:
        if shape is None:
            start = _beginning(path, size)
            shape = stored_shape(start)
    if not start:
        raise UserError(f"{path}: empty; expected TFRecords of {resolution}x{resolution} images")
    if start[:2] == b"\x1f\x8b":
        raise UserError(f"{path}: compressed by gzip; expected uncompressed TFRecords")
    if shape is None:
        raise UserError(
            f"{path}: its first record has no feature 'shape'; expected TFRecords of images, as"
            " written by pgan-prepare-tfrecords or the original implementation"
        )
    allowed = (channels,) if channels else (1, 3)
    if len(shape) != 3 or shape[1:] != (resolution, resolution) or shape[0] not in allowed:
        wanted = (channels or "1 or 3", resolution, resolution)
        raise UserError(
            f"{path}: its images must have the shape [{' '.join(map(str, wanted))}] (C H W)."
            f" Received: [{' '.join(map(str, shape))}]"
        )
    return shape[0]


def _beginning(path: Path, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(size) or b""
