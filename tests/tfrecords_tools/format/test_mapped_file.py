import mmap
import os

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.format import mapped_file
from tfrecords_tools.format.mapped_file import MappedFile

CONTENTS = np.random.default_rng(0).integers(0, 256, 3 << 20, np.uint8)


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """A file that is too large to be requested as a whole."""
    monkeypatch.setattr(mapped_file, "_SMALL_FILE_BYTES", len(CONTENTS) - 1)
    CONTENTS.tofile(tmp_path / "file")
    return MappedFile(tmp_path / "file")


class Requests:
    """Records requests in place of the mapping."""

    def __init__(self):
        self.spans = []

    def madvise(self, advice, start, length):
        assert advice == mmap.MADV_WILLNEED
        assert start % mmap.PAGESIZE == 0
        self.spans.append((start, start + length))


def test_a_mapped_file_is_read_only(mapped):
    np.testing.assert_array_equal(mapped.data, CONTENTS)
    with pytest.raises(ValueError, match="read-only"):
        mapped.data[0] = 1


def test_an_empty_file_has_no_bytes(tmp_path):
    (tmp_path / "empty").touch()
    empty = MappedFile(tmp_path / "empty")
    assert len(empty.data) == 0
    empty.will_read(np.array([(0, 10)]))


def test_requesting_parts_does_not_change_them(mapped):
    mapped.will_read(np.array([(0, 1), (5000, 2_000_000), (2_900_000, len(CONTENTS))]))
    np.testing.assert_array_equal(mapped.data, CONTENTS)


def pages_but(missing, mapped):
    """Return a fake of the C library's `mincore`: all pages but one are in memory."""

    def mincore(start, size, pages):
        first = (start - mapped.data.ctypes.data) // mmap.PAGESIZE
        for page in range(len(pages)):
            pages[page] = first + page != missing
        return 0

    return mincore


@pytest.mark.parametrize("missing", [3, 100, 3 + (1 << 20) // mmap.PAGESIZE])
def test_every_page_of_a_part_is_requested_and_none_around_it(mapped, missing):
    mapped._mapping = requests = Requests()
    mapped._mincore = pages_but(missing, mapped)
    start, end = 3 * mmap.PAGESIZE + 17, 3 * mmap.PAGESIZE + 17 + (1 << 20)
    mapped.will_read(np.array([(start, end)]))
    assert requests.spans[0][0] == 3 * mmap.PAGESIZE
    assert requests.spans[-1][1] == end
    assert all(a[1] == b[0] for a, b in zip(requests.spans, requests.spans[1:], strict=False))
    # A single call of more than a disk's largest request would be cut short.
    assert max(b - a for a, b in requests.spans) <= 1 << 19


def test_a_large_part_that_is_in_memory_is_not_requested(mapped):
    mapped._mapping = requests = Requests()
    assert mapped.data.sum() > 0  # read, hence in memory
    mapped.will_read(np.array([(17, 17 + (1 << 20)), (1 << 21, 3 << 20)]))
    assert requests.spans == []


@pytest.mark.parametrize("reason", ["may not be written to", "fails"])
def test_all_is_requested_where_pages_in_memory_are_unknown(mapped, monkeypatch, tmp_path, reason):
    if reason == "may not be written to":
        monkeypatch.setattr("os.access", lambda path, mode: False)
        mapped = MappedFile(tmp_path / "file")
    else:
        mapped._mincore = lambda start, size, pages: -1
    mapped._mapping = requests = Requests()
    mapped.will_read(np.array([(0, 1 << 20)]))
    assert sum(end - start for start, end in requests.spans) == 1 << 20


def test_bytes_past_the_end_are_left_out(mapped):
    mapped.will_read(np.array([(len(CONTENTS) - 1, len(CONTENTS) + 10_000), (1 << 30, 1 << 31)]))
    mapped._mapping = requests = Requests()
    mapped.will_read(np.array([(len(CONTENTS) - 1, len(CONTENTS) + 10_000), (1 << 30, 1 << 31)]))
    assert [end for _, end in requests.spans] == [len(CONTENTS)]


def test_a_small_file_is_requested_once_as_a_whole(mapped, monkeypatch):
    monkeypatch.setattr(mapped_file, "_SMALL_FILE_BYTES", len(CONTENTS))
    mapped._mincore = None
    mapped._mapping = requests = Requests()
    for start in (100, 200):
        mapped.will_read(np.array([(start, start + 10)]))
    assert sum(end - start for start, end in requests.spans) == len(CONTENTS)


def test_a_file_that_becomes_shorter_is_refused_before_it_is_touched(mapped, tmp_path):
    os.truncate(tmp_path / "file", 5000)
    message = rf"file: has been cut short .*: 5000 of {len(CONTENTS)} bytes are left"
    for read in (
        lambda: mapped.read(0, 10_000),
        lambda: mapped.read_spans(np.array([(9000, 10_000)])),
    ):
        with pytest.raises(UserError, match=message):
            read()


def test_a_file_that_is_replaced_by_a_shorter_one_is_still_read(mapped, tmp_path):
    (tmp_path / "new").write_bytes(b"short")
    (tmp_path / "new").replace(tmp_path / "file")
    np.testing.assert_array_equal(mapped.read(0, len(CONTENTS)), CONTENTS)
