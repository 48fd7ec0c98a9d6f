"""A file of uncompressed images: records of one length, found by multiplication."""

from pathlib import Path

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.first_record import check_first_record
from tfrecords_tools.format.mapped_file import MappedFile
from tfrecords_tools.format.record import masked, record_layout


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
        numbers = self._layout_numbers(indices)
        sums = np.zeros(len(indices), np.uint32)
        if out is None:
            out = self._gather(indices, numbers, sums, check)
        else:
            self._copy(indices, numbers, sums, check, out)
        if check:
            # It stands at the end of a record, whatever the layout.
            wrong = masked(sums) != self._records[0]["crc"][indices]
            if wrong.any():
                self._refuse(indices[wrong][0], "its checksum (CRC-32C) is wrong")
        return out

    def _layout_numbers(self, indices: np.ndarray) -> np.ndarray:
        """Which of the layouts each record has, [k]."""
        numbers = np.where(self._have_layout(0, indices), 0, 1)
        others = indices[numbers == 1]
        if len(others):
            known = self._have_layout(1, others)
            if not known.all():
                self._refuse(others[~known][0], "its header is damaged")
        return numbers

    def _have_layout(self, number: int, indices: np.ndarray) -> np.ndarray:
        expected, records = self._layouts[number], self._records[number]
        same = (records["head"][indices] == np.frombuffer(expected.head, np.uint8)).all(axis=1)
        if expected.tail:
            same &= (records["tail"][indices] == np.frombuffer(expected.tail, np.uint8)).all(axis=1)
        return same

    def _gather(
        self, indices: np.ndarray, numbers: np.ndarray, sums: np.ndarray, check: bool
    ) -> np.ndarray:
        """Images in new memory, all at once: best where they are small. Fills `sums`."""
        images = self._records[0]["pixels"][indices]
        others = np.flatnonzero(numbers)
        if len(others):
            images[others] = self._records[1]["pixels"][indices[others]]
        for number in (0, 1) if check else ():
            here = np.flatnonzero(numbers == number)
            whole = len(here) == len(indices)
            sums[here] = self._layouts[number].crcs(images if whole else images[here])
        return images

    def _copy(
        self,
        indices: np.ndarray,
        numbers: np.ndarray,
        sums: np.ndarray,
        check: bool,
        out: np.ndarray,
    ) -> None:
        """Images into `out`, one by one: best where they are large. Fills `sums`."""
        for position, (number, index) in enumerate(
            zip(numbers.tolist(), indices.tolist(), strict=True)
        ):
            image = out[position]
            image[...] = self._records[number]["pixels"][index]
            if check:  # at once, while it is in the processor's cache
                sums[position] = self._layouts[number].crcs(image[np.newaxis])[0]

    def _refuse(self, index: int, why: str) -> None:
        raise UserError(f"{self.path}: record {index} (of 0..{self.count - 1}) is damaged: {why}")
