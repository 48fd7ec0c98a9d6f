import fcntl
import os

import pytest

from tfrecords_tools.files.locks import lock


@pytest.fixture
def opened(tmp_path):
    descriptors = [os.open(tmp_path, os.O_RDONLY) for _ in range(2)]
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


def test_what_is_locked_is_refused_to_others(opened):
    assert lock(opened[0])
    for shared in (False, True):
        with pytest.raises(BlockingIOError):
            lock(opened[1], shared=shared)


def test_a_file_system_without_locks_is_warned_of_once(opened, no_locks, caplog):
    assert [lock(each) for each in opened] == [False, False]
    assert caplog.text.count("has no locks") == 1


def test_other_failures_are_raised(opened, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output"):
        lock(opened[0])
