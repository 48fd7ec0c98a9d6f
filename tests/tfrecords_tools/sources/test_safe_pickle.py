"""Pickles of plain data are read, and nothing in a pickle is ever run."""

import os
import pickle

import numpy as np
import pytest

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.safe_pickle import load_plain


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_plain_data_and_arrays_are_read(protocol):
    data = {"a": [1, 2.5, "x", b"y", None], "b": np.arange(6, dtype=np.uint8).reshape(2, 3)}
    read = load_plain(pickle.dumps(data, protocol), "x")
    assert read["a"] == data["a"]
    np.testing.assert_array_equal(read["b"], data["b"])


def test_text_of_python_2_becomes_text():
    # {'data': 'ab'} with byte strings, as Python 2 pickles it.
    assert load_plain(b"\x80\x02}q\x01U\x04dataq\x02U\x02abq\x03s.", "x") == {"data": "ab"}


class Attack:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Attack(os.system, ("touch owned",)), "system"),
        (Attack(eval, ("open('owned', 'w')",)), "eval"),
        (Attack(np.fromfile, ("x",)), "fromfile"),
    ],
)
def test_code_is_refused_and_not_run(tmp_path, monkeypatch, attack, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"batch: not loaded: .* Received: .*{named}"):
        load_plain(pickle.dumps({"data": attack}, protocol=2), "batch")
    assert os.listdir() == []


@pytest.mark.parametrize(
    "data", [b"", b"nothing", pickle.dumps([1, 2])[:-3], b"\x80\x02cos\nsystem"]
)
def test_damaged_pickles_are_refused(data):
    with pytest.raises(UserError, match=r"^batch: "):
        load_plain(data, "batch")


def test_an_array_of_impossible_size_is_refused():
    data = pickle.dumps(np.zeros(7, np.uint8), protocol=2)
    huge = data.replace(b"K\x07\x85", b"\x8a\x06\xff\xff\xff\xff\xff\x0f\x85")
    assert huge != data
    with pytest.raises(UserError, match="batch: damaged"):
        load_plain(huge, "batch")
