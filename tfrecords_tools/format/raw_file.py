"""A file of raw images: records of one size, found by multiplication."""

import dataclasses

import numpy as np

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import ByteSource
from tfrecords_tools.format.example import ImageType
from tfrecords_tools.format.first_record import check_raw_head
from tfrecords_tools.format.level import DamagedRecordError, RecordFile
from tfrecords_tools.format.record import RecordLayout, masked, record_layout


def open_raw_file(source: ByteSource, image: ImageType, may_be_empty: bool = False) -> RecordFile:
    """Open a file of raw images; check its size and its first record.

    Args:
      source: the file.
      image: the type of its images.
      may_be_empty: accept a file without records: a shard all of whose images were skipped.

    Raises:
      UserError: the file is empty, cut short, or holds anything other than such images.
    """
    decoder = RawDecoder(image)
    if source.size or not may_be_empty:
        check_raw_head(source, image)
    if source.size % decoder.record_bytes:
        raise UserError(
            f"{source.location}: truncated or damaged: its size must be a multiple of its record"
            f" length, {decoder.record_bytes} bytes. Received: {source.size} bytes"
        )
    count = source.size // decoder.record_bytes
    return RecordFile(source, count, FixedOffsets(decoder.record_bytes), decoder)


@dataclasses.dataclass(frozen=True)
class FixedOffsets:
    """The positions of records of one size."""

    record_bytes: int

    def spans(self, indices: np.ndarray) -> np.ndarray:
        """Return where records begin and end; see `Offsets`."""
        return np.stack([indices, indices + 1], axis=1) * self.record_bytes


class RawDecoder:
    """Copies images out of raw records. Threads may share it.

    Attributes:
      record_bytes: size of a record.
    """

    def __init__(self, image: ImageType):
        self._layouts = (record_layout(image), record_layout(image, data_first=True))
        self.record_bytes = self._layouts[0].record_bytes

    def decode(
        self, data: np.ndarray, spans: np.ndarray, check: bool, out: np.ndarray | None
    ) -> np.ndarray:
        """Decode records, each a whole number of records after the beginning of `data`.

        See `RecordDecoder`.
        """
        records = _Records(data, spans[:, 0] // self.record_bytes, self._layouts)
        if out is None:
            images, crcs = records.gather(check)
        else:
            images, crcs = out, records.copy(check, out)
        if check:
            wrong = np.flatnonzero(masked(crcs) != records.stored_checksums())
            if len(wrong):
                raise DamagedRecordError(int(wrong[0]), "its checksum (CRC-32C) is wrong")
        return images


class _Records:
    """The records that one call decodes, in one or both layouts."""

    def __init__(
        self, data: np.ndarray, indices: np.ndarray, layouts: tuple[RecordLayout, RecordLayout]
    ):
        self._indices = indices
        self._layouts = layouts
        self._records = [data.view(layout.dtype) for layout in layouts]
        self._numbers = self._layout_numbers()

    def gather(self, check: bool) -> tuple[np.ndarray, np.ndarray]:
        """Copy all images at once into new memory, which is best where they are small.

        Returns:
          [k C H W], and their CRC-32Cs [k] uint32, zeros unless `check`.
        """
        images = self._records[0]["pixels"][self._indices]
        crcs = np.zeros(len(images), np.uint32)
        others = np.flatnonzero(self._numbers)
        if len(others):
            images[others] = self._records[1]["pixels"][self._indices[others]]
        for number in (0, 1) if check else ():
            here = np.flatnonzero(self._numbers == number)
            all_of_them = len(here) == len(images)
            crcs[here] = self._layouts[number].crcs(images if all_of_them else images[here])
        return images, crcs

    def copy(self, check: bool, out: np.ndarray) -> np.ndarray:
        """Copy images one by one into `out`, which is best where they are large.

        Returns:
          As `gather`, the CRC-32Cs.
        """
        crcs = np.zeros(len(out), np.uint32)
        places = zip(self._numbers.tolist(), self._indices.tolist(), strict=True)
        for position, (number, index) in enumerate(places):
            image = out[position]
            image[...] = self._records[number]["pixels"][index]
            if check:  # at once, while the image is in the processor's cache
                crcs[position] = self._layouts[number].crcs(image[np.newaxis])[0]
        return crcs

    def stored_checksums(self) -> np.ndarray:
        """Return the masked checksums at the ends of the records, [k] uint32."""
        # They stand in the same place in both layouts.
        return self._records[0]["crc"][self._indices]

    def _layout_numbers(self) -> np.ndarray:
        """Find out which layout each record has: [k], 0 or 1."""
        numbers = np.where(self._have_layout(0, self._indices), 0, 1)
        others = np.flatnonzero(numbers)
        if len(others):
            unknown = others[~self._have_layout(1, self._indices[others])]
            if len(unknown):
                raise DamagedRecordError(int(unknown[0]), "its header is damaged")
        return numbers

    def _have_layout(self, number: int, indices: np.ndarray) -> np.ndarray:
        layout, records = self._layouts[number], self._records[number]
        same = (records["head"][indices] == np.frombuffer(layout.head, np.uint8)).all(axis=1)
        if layout.tail:
            same &= (records["tail"][indices] == np.frombuffer(layout.tail, np.uint8)).all(axis=1)
        return same
