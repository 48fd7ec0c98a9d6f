"""A file of uncompressed images: records of one length, found by multiplication."""

import concurrent.futures
import functools
import os
from pathlib import Path

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.first_record import check_first_record
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.record import record_layout

# Large images are read piece by piece: so much is still in the processor's cache when its checksum
# is computed.
_PIECE_BYTES = 1 << 20


class RawFile:
    """A level's file of raw images, or a part of it.

    The file is mapped, not read: memory does not grow with it, and threads may share an instance.
    """

    def __init__(self, path: Path, channels: int, resolution: int, may_be_empty: bool = False):
        """Maps the file and checks its size and its first record.

        Args:
          path: the file.
          channels: C of its images.
          resolution: H and W of its images.
          may_be_empty: whether it may hold no record: a shard all of whose images were skipped.

        Raises:
          UserError: the file is empty, cut short, or holds something else than such images.
        """
        self.path = path
        self._layouts = tuple(record_layout(channels, resolution, order) for order in (False, True))
        record_bytes = self._layouts[0].record_bytes
        size = path.stat().st_size
        if size or not may_be_empty:
            heads = tuple(layout.head for layout in self._layouts)
            check_first_record(path, channels, resolution, heads)
        if size % record_bytes:
            raise UserError(
                f"{path}: truncated or damaged: its size must be a multiple of its record length,"
                f" {record_bytes} bytes. Received: {size} bytes"
            )
        self.count = size // record_bytes
        self._file = MappedFile(path)
        self._records = tuple(self._file.data.view(layout.dtype) for layout in self._layouts)

    def read(self, indices: np.ndarray, check: bool, out: np.ndarray | None = None) -> np.ndarray:
        """Images [k C H W] uint8 of the records `indices` [k] int64; see `RecordFile`."""
        spans = np.stack([indices, indices + 1], axis=1) * self._layouts[0].record_bytes
        self._file.will_read(spans)
        if out is None:
            pixels = self._records[0]["pixels"][indices]
            self._finish(pixels, indices, check)
            return pixels
        images_a_piece = max(1, _PIECE_BYTES * len(out) // max(1, out.nbytes))

        def read_piece(start: int) -> None:
            piece = slice(start, start + images_a_piece)
            for image, index in zip(out[piece], indices[piece].tolist(), strict=True):
                image[...] = self._records[0]["pixels"][index]
            self._finish(out[piece], indices[piece], check)

        pieces = range(0, len(indices), images_a_piece)
        for _ in (_readers().map if len(pieces) > 1 else map)(read_piece, pieces):
            pass
        return out

    def _finish(self, pixels: np.ndarray, indices: np.ndarray, check: bool) -> None:
        """Checks records whose pixels have been copied as the first layout has them."""
        rest = self._read_layout(0, pixels, np.arange(len(indices)), indices, check)
        if len(rest):
            pixels[rest] = self._records[1]["pixels"][indices[rest]]
            unknown = self._read_layout(1, pixels[rest], rest, indices, check)
            if len(unknown):
                self._refuse(indices[unknown[0]], "its header is damaged")

    def _read_layout(
        self, layout: int, pixels: np.ndarray, where: np.ndarray, indices: np.ndarray, check: bool
    ) -> np.ndarray:
        """Checks the records `indices[where]`; returns those of `where` laid out otherwise."""
        expected, records = self._layouts[layout], self._records[layout]
        wanted = indices[where]
        same = (records["head"][wanted] == np.frombuffer(expected.head, np.uint8)).all(axis=1)
        if expected.tail:
            same &= (records["tail"][wanted] == np.frombuffer(expected.tail, np.uint8)).all(axis=1)
        if check:
            known = slice(None) if same.all() else same
            bad = expected.checksums(pixels[known]) != records["crc"][wanted[known]]
            if bad.any():
                self._refuse(wanted[known][bad][0], "its checksum (CRC-32C) is wrong")
        return where[~same]

    def _refuse(self, index: int, why: str) -> None:
        raise UserError(f"{self.path}: record {index} (of 0..{self.count - 1}) is damaged: {why}")


@functools.cache
def _readers() -> concurrent.futures.ThreadPoolExecutor:
    """Threads that copy: NumPy does it without holding the interpreter."""
    return concurrent.futures.ThreadPoolExecutor(
        min(16, os.cpu_count() or 1), thread_name_prefix="raw"
    )
