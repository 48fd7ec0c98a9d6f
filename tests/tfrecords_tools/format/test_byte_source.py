import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.format.byte_source import LocalDirectory, joined, name_of

CONTENTS = bytes(range(200))


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "file").write_bytes(CONTENTS)
    return LocalDirectory(tmp_path)


def test_a_directory_lists_and_opens_its_files(directory, tmp_path):
    assert directory.list() == {"file"}
    source = directory.open("file")
    assert source.location == str(tmp_path / "file") and name_of(source) == "file"
    assert source.size == len(CONTENTS) and not source.is_remote
    with pytest.raises(FileNotFoundError):
        directory.open("nothing")


@pytest.mark.parametrize(("start", "end"), [(0, 200), (3, 7), (5, 5), (190, 1000), (300, 400)])
def test_bytes_are_read_up_to_the_files_end(directory, start, end):
    read = directory.open("file").read(start, end)
    assert read.dtype == np.uint8 and read.tobytes() == CONTENTS[start:end]


def test_spans_lead_to_their_bytes(directory):
    spans = np.array([(7, 9), (0, 200), (5, 5)])
    data, found = directory.open("file").read_spans(spans)
    parts = [data[begin:end].tobytes() for begin, end in found]
    assert parts == [CONTENTS[begin:end] for begin, end in spans]


@pytest.mark.parametrize("parts", [[b"ab", b"", b"cde"], [b"x"], []])
def test_spans_lead_to_joined_parts(parts):
    data, spans = joined(parts)
    assert spans.shape == (len(parts), 2) and spans.dtype == np.int64
    assert [data[begin:end].tobytes() for begin, end in spans] == parts


def test_anything_but_a_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: not a directory"):
        LocalDirectory(tmp_path / "file").list()
    with pytest.raises(UserError, match="nothing: no such directory"):
        LocalDirectory(tmp_path / "nothing").list()
